"""docs/figures.md: its commands and images exist, and its Python runs on a trained model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from PIL import Image
from support.environment import REPOSITORY
from support.guide import blocks
from support.tiny import TINY, tiny, write_prepared

from noisette import train

DOCS = REPOSITORY / "docs"
PAGE = (DOCS / "figures.md").read_text(encoding="utf-8")
LABELLED = ["timesteps=1000", "training.class_conditional=true", "training.steps=1"]


def test_its_commands_and_options_exist() -> None:
    from typer.main import get_command

    from noisette_flows.cli import app

    called = [block.text.split() for block in blocks(PAGE) if block.language == "sh"]
    assert len(called) == 12
    for _, *words in called:
        command = get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        known = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_its_images_exist_and_are_small() -> None:
    shown = re.findall(r"!\[[^\]]+\]\((images/[^)]+)\)", PAGE)
    assert len(shown) == 7
    for name in shown:
        with Image.open(DOCS / name) as image:
            assert 700 <= image.width <= 1100
        assert (DOCS / name).stat().st_size < 150_000
    with Image.open(DOCS / "images" / "denoise-ddpm-250.webp") as animation:
        assert animation.n_frames == 60


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = tiny(*LABELLED)
    write_prepared(tmp_path / "runs", experiment)
    train(experiment, tmp_path / "runs")
    (tmp_path / "configs").mkdir()
    config = {**TINY, "timesteps": 1000, "training": {**TINY["training"], "class_conditional": True, "steps": 1}}
    (tmp_path / "configs" / "digits.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (example,) = [block.text for block in blocks(PAGE) if block.language == "python"]
    exec(example, {})
    written = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert written == {"denoising.png", "denoising.webp", "classes.png", "interpolation.png", "edit.png"}
