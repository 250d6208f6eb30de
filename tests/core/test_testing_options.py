"""Which other values of its options a plugin is tried with."""

from __future__ import annotations

from typing import ClassVar, Literal

import pytest
from pydantic import Field, PositiveInt, ValidationError

from noisette import Schedule
from noisette.testing.options import (
    alternatives,
    find_ineffective_options,
    format_plugin,
    has_default_options,
    variants,
    with_options,
)


class Many(Schedule):
    """Options of every sort."""

    name: ClassVar[str] = "many"

    flag: bool = Field(False, description="a boolean")
    word: Literal["a", "b", "c"] = Field("a", description="a literal")
    maybe: Literal["x"] | None = Field(None, description="a literal or nothing")
    share: float = Field(0.25, ge=0, le=1, description="a closed range")
    inside: float = Field(0.5, gt=0, lt=1, description="an open range")
    free: float = Field(3.0, description="any number")
    count: PositiveInt = Field(7, description="a whole number")
    text: str = Field("", description="not guessed at")

    def betas(self, timesteps):
        raise NotImplementedError


def values(plugins: list[Many], key: str) -> list[object]:
    return [getattr(plugin, key) for plugin in plugins]


def test_variants_change_one_option_each() -> None:
    tried = list(variants(Many(), exclude=("maybe",)))
    assert [format_plugin(plugin) for plugin in tried] == [
        "Many()",
        "Many(flag=True)",
        "Many(word='b')",
        "Many(word='c')",
        "Many(share=0)" if isinstance(tried[4].share, int) else "Many(share=0.0)",
        "Many(share=1.0)",
    ]


def test_alternatives_also_move_numbers() -> None:
    others = alternatives(Many())
    assert values(others["maybe"], "maybe") == ["x"]
    assert values(others["inside"], "inside") == [0.25, 0.75]
    assert values(others["free"], "free") == [2.0, 7.0]
    assert values(others["count"], "count") == [4, 8, 1]
    assert others["text"] == []


def test_a_change_is_validated() -> None:
    assert with_options(Many(flag=True), count=3) == Many(flag=True, count=3)
    with pytest.raises(ValidationError):
        with_options(Many(), count=0)


def test_default_values_are_told_from_others_whether_given_or_not() -> None:
    assert has_default_options(Many(word="a"))
    assert not has_default_options(Many(word="b"))
    assert has_default_options(Many(word="b"), exclude=("word",))


def test_options_without_effect_are_found() -> None:
    assert list(find_ineffective_options(Many(), lambda plugin: (plugin.flag, plugin.word, plugin.share))) == [
        "maybe",
        "inside",
        "free",
        "count",
    ]


def test_an_option_may_count_beside_another_alone() -> None:
    beside = ("word", "maybe", "share", "inside", "free")
    assert list(find_ineffective_options(Many(), lambda plugin: plugin.flag and plugin.count, exclude=beside)) == []
    assert list(find_ineffective_options(Many(), lambda plugin: plugin.flag, exclude=beside)) == ["count"]


class Placed(Many):
    """An option that is not guessed at, and may be None."""

    place: str | None = Field("here", description="a text or nothing")


def test_an_option_may_count_where_another_is_none() -> None:
    assert "inside" not in find_ineffective_options(Placed(), lambda plugin: plugin.place is None and plugin.inside)
    assert "inside" in find_ineffective_options(Placed(), lambda plugin: plugin.place)
