"""docs/tracking.md matches the code and its JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

from support.tiny import tiny
from typer.main import get_command

from noisette_flows.cli import app
from noisette_flows.model_registry.pyfunc import INPUT_SCHEMA, OUTPUT_SCHEMA
from noisette_flows.tracking.names import parameters, run_name

PAGE = Path(__file__).parents[2] / "docs" / "tracking.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_its_commands_and_options_exist() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    named = re.findall(r"noisette (\w+)([^`\n]*)", TEXT)
    checked = set()
    for command, rest in named:
        if command not in commands:
            continue
        options = {option for parameter in commands[command].params for option in parameter.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= options, (command, rest)
        checked.add(command)
    assert checked >= {"run", "register", "compare", "sample"}


def test_the_columns_of_a_served_model_are_listed() -> None:
    table = TEXT.partition("| column | default |")[2].partition("\n\n")[0]
    firsts = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
    listed = [name for first in firsts for name in re.findall(r"`(\w+)`", first)]
    assert sorted(listed) == sorted(INPUT_SCHEMA.input_names())
    assert all(f"`{name}`" in TEXT for name in OUTPUT_SCHEMA.input_names())
    (request,) = re.findall(r"-d '(.*)'", TEXT)
    assert set(json.loads(request)["dataframe_records"][0]) <= set(INPUT_SCHEMA.input_names())


def test_names_are_as_they_are_shown() -> None:
    experiment = tiny("training.steps=2000", "training.lr=0.0003", "objective=v", "schedule=cosine")
    assert f"`{run_name(experiment, {'training.lr': 0.0003})}`" in TEXT
    names = "data set, schedule, objective, backbone, seed, steps, learning rate, batch"
    assert names in " ".join(TEXT.split())
    assert len(parameters(experiment, {})) == len(names.split(", "))


def test_its_images_exist_and_are_small() -> None:
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT)
    assert len(images) == 2
    for image in images:
        assert (PAGE.parent / image).stat().st_size < 150_000


def test_its_table_matches_its_json() -> None:
    results = json.loads((PAGE.parent / "outages.json").read_text())["results"]
    assert {row["held"] == row["trials"] and row["seen"]["lost"] == 0 for row in results} == {True}
    for row in results:
        assert f"| {row['fault']} | {row['trials']} | {row['held']} |" in TEXT
