"""docs/experiments.md: its configs, commands and links exist, and its data sets are listed."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from support.environment import REPOSITORY
from support.guide import blocks

from noisette import registry
from noisette.config import load, parse
from noisette.config.overrides import parse_override

TEXT = (REPOSITORY / "docs" / "experiments.md").read_text()
NAMED = re.findall(r"^\| \[([\w-]+)\]\(\.\./configs/([\w-]+)\.yaml\) \|", TEXT, flags=re.M)
DOCUMENTS = {
    "tutorial",
    "bedrooms",
    "forward-process",
    "mnist-annotated",
    "mnist-conditional",
    "text-to-image",
    "mnist-from-scratch",
    "flowers",
    "cifar10",
    "inpaint",
    "super-resolution",
    "interpolate",
}


def test_the_table_has_every_experiment_once() -> None:
    assert [shown for shown, _ in NAMED] == [file for _, file in NAMED]
    assert len(NAMED) == len(DOCUMENTS)
    assert {name for name, _ in NAMED} == DOCUMENTS


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_each_is_a_config(name: str) -> None:
    load(REPOSITORY / "configs" / f"{name}.yaml")


def test_the_listed_images_are_accepted() -> None:
    (listing,) = [block.text for block in blocks(TEXT) if block.language == "yaml"]
    everything = yaml.safe_load(listing)["figures"]
    config = {"name": "x", "dataset": "digits", "training": {"class_conditional": True}}
    assert len(parse({**config, "figures": everything[:-1]}).figures) == 6
    larger = {**config, "training": {"low_res_size": 4}}
    assert parse({**larger, "figures": everything[-1:]}).figures[0].name == "upscale"


def commands() -> list[list[str]]:
    lines = [line for block in blocks(TEXT) if block.language == "sh" for line in block.text.splitlines()]
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words[:1] == ["noisette"]]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_its_commands_and_settings_exist(words: list[str]) -> None:
    from typer.main import get_command

    from noisette_flows.cli import app

    assert words[1] in get_command(app).commands  # type: ignore[attr-defined]
    settings = [value for option, value in pairwise(words) if option == "--set"]
    if words[1] == "run":
        load(REPOSITORY / words[2], dict(map(parse_override, settings)))


def test_data_sets_are_listed() -> None:
    listed = set(re.findall(r"^\| `([\w-]+)` \|", TEXT, flags=re.M))
    downloads = {"mnist", "fashion-mnist", "cifar10", "celeba", "flowers102", "lsun"}
    assert downloads | {"image-folder", "hugging-face"} <= listed <= set(registry().names("dataset"))


@pytest.mark.parametrize("name", ["celeba", "flowers102", "mnist", "cifar10"])
def test_counts_are_those_of_the_data_sets(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \| (.*?) \|", TEXT, flags=re.M)
    numbers = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\d", row)]
    dataset = registry().find("dataset", name).plugin()
    assert {dataset.length("train"), dataset.length("test")} <= set(numbers)  # type: ignore[attr-defined]


def test_its_links_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (Path(REPOSITORY) / "docs" / target).exists(), target
