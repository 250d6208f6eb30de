"""docs/coming-from.md: the options and commands it names exist, and its example of a decay is right."""

from __future__ import annotations

import re

from support.environment import REPOSITORY
from typer.main import get_command

from noisette import Experiment
from noisette_flows.cli import app

PAGE = (REPOSITORY / "docs" / "coming-from.md").read_text(encoding="utf-8")


def test_options_of_the_table_exist() -> None:
    options = Experiment.parse({"name": "page", "dataset": "digits"}).options()
    sampler = options["sampling"]["samplers"][0]
    known = {*options, *options["training"], *(f"sampling.{name}" for name in options["sampling"]), *sampler}
    table = PAGE.partition("## Names")[2].partition("## What differs")[0]
    cells = re.findall(r"^\| ([^|]*`[^|]*) \|", table, flags=re.M)
    named = {name for cell in cells for name in re.findall(r"`([a-z_.0]+)`", cell)}
    others = {"sampler", "ddpm", "variance", "eps", "x0", "v", "calls"}
    assert len(named) > 20
    assert named - others <= known


def test_commands_exist() -> None:
    commands = re.findall(r"`noisette (\w+)", PAGE)
    assert set(commands) == {"ema", "import", "export"}
    assert set(commands) <= set(get_command(app).commands)  # type: ignore[attr-defined]


def test_half_life_is_converted_as_the_page_says() -> None:
    assert "EDM's 0.5 million images at batch 512 are 0.99929" in PAGE
    assert round(0.5 ** (512 / 500_000), 5) == 0.99929
