from __future__ import annotations

import math
from pathlib import Path

import pytest

from noisette.config.yaml import parse_yaml, read_yaml
from noisette.errors import ConfigError


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "here")
    assert str(caught.value).startswith("here: 1 problem\n")
    return str(caught.value.problems[0])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("+2.e3", 2e3),
        (".5", 0.5),
        ("-.5e+3", -500.0),
        ("2.5", 2.5),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
    ],
)
def test_a_float_is_a_float_however_it_is_written(text: str, number: float) -> None:
    value = parse_yaml(text, "here")
    assert value == number
    assert isinstance(value, float)


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7), ("-7", -7), ("+7", 7), ("007", 7), ("010", 10), ("10_000", 10_000), ("0x1F", 31), ("0o17", 15)],
)
def test_a_whole_number_is_decimal_unless_it_says_otherwise(text: str, number: int) -> None:
    value = parse_yaml(text, "here")
    assert value == number
    assert isinstance(value, int)


@pytest.mark.parametrize(
    "word", ["no", "yes", "on", "off", "y", "N", "1:30", "2024-01-01", "=", "1_000.5", "1e", "0x", ".", "e5"]
)
def test_what_yaml_1_1_would_turn_into_something_else_stays_a_word(word: str) -> None:
    assert parse_yaml(f"key: {word}", "here") == {"key": word}


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("False", False), ("null", None), ("~", None), ("", None)]
)
def test_the_words_of_yaml_1_2_keep_their_meaning(text: str, value: bool | None) -> None:
    assert parse_yaml(f"key: {text}", "here") == {"key": value}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: key 'a' is given twice; first in line 1"),
        ("outer:\n  a: 1\n  'a': 3", "line 3, column 3: key 'a' is given twice; first in line 2"),
        ("list: [{x: 1, x: 2}]", "line 1, column 15: key 'x' is given twice; first in line 1"),
        ("a: &a {x: 1}\nb: {<<: *a, <<: *a}", "line 2, column 13: key '<<' is given twice; first in line 2"),
        ("{1: a, '1': b}", "line 1, column 8: key '1' is given twice; first in line 1"),
    ],
)
def test_a_key_given_twice_is_refused_with_both_lines(text: str, place: str) -> None:
    assert refused(text) == place


def test_anchors_and_merges_are_understood() -> None:
    text = "base: &base {steps: 5, lr: 1e-3}\na: *base\nb: {<<: *base, steps: 7}\nc: &n 3\nd: *n"
    assert parse_yaml(text, "here") == {
        "base": {"steps": 5, "lr": 1e-3},
        "a": {"steps": 5, "lr": 1e-3},
        "b": {"steps": 7, "lr": 1e-3},
        "c": 3,
        "d": 3,
    }


def bomb(levels: int, width: int = 10) -> str:
    lines = [f"a0: &a0 [{', '.join(['x'] * width)}]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join(lines)


def test_aliases_that_explode_are_refused_and_others_are_not() -> None:
    assert "at most 20000 values" in refused(bomb(9))
    assert len(parse_yaml(bomb(4), "here")) == 4


def test_an_alias_inside_itself_is_refused() -> None:
    assert refused("a: &a [1, *a]") == "line 1, column 4: a recursive alias"


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_nesting_that_exhausts_the_stack_is_refused(opening: str) -> None:
    assert refused(opening * 100_000) == "nested too deeply"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\ta: 1", "line 1, column 1: found character '\\t' that cannot start any token"),
        ("a:\n\t- 1", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("a: [1, 2", "line 1, column 9: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n---\nb: 2", "line 2, column 1: but found another document"),
        ("a: *b", "line 1, column 4: found undefined alias 'b'"),
        ("? [a]\n: 1", "line 1, column 3: expected a word as key; got a list or a mapping"),
        ("a: !!python/object/apply:os.system [true]", "line 1, column 4: tags are not used in configs"),
        ("a: !!int abc", "line 1, column 4: tags are not used in configs"),
        ("!!map [1]", "line 1, column 1: tags are not used in configs"),
        (f"a: {'1' * 5000}", "line 1, column 4: expected a whole number of at most 2^53; got 5000 digits"),
        ("a: \0", "not valid YAML: unacceptable character #x0000"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place(text: str, message: str) -> None:
    assert refused(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 9007199254740993", "line 1, column 4: expected a whole number of at most 2^53; got 9007199254740993"),
        (
            "a: [" + "1, " * 20_000 + "]",
            "line 1, column 59996: expected a config of at most 20000 values; got more",
        ),
    ],
)
def test_what_no_config_needs_is_refused(text: str, message: str) -> None:
    assert refused(text) == message


def test_a_file_of_more_than_a_mebibyte_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1 #" + "x" * (1 << 20))
    with pytest.raises(ConfigError, match="at most 1 MiB"):
        read_yaml(path)
    path.write_text("a: 1 #" + "x" * ((1 << 20) - 6))
    assert read_yaml(path) == {"a": 1}


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: Caf\xc3\xa9  # with a byte order mark\n")
    assert read_yaml(path) == {"name": "Café"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a mapping of keys; got an empty file"),
        (b"# only a comment\n", "expected a mapping of keys; got an empty file"),
        (b"- a\n- b\n", "expected a mapping of keys; got a list"),
        (b"steps", "expected a mapping of keys; got a str"),
        (b"name: Caf\xe9 au lait", "cannot be read: not UTF-8 text: invalid continuation byte"),
    ],
)
def test_a_file_that_is_no_config_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: 1 problem\n  {message}")


def test_a_missing_file_is_named_with_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").touch()
    with pytest.raises(ConfigError, match=r"No such file or directory \(.* has digits\.yaml\)"):
        read_yaml(tmp_path / "digts.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        read_yaml(tmp_path)
