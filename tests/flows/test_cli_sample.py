"""`noisette sample`: image files from a trained model."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.tiny import write_prepared
from support.workshop import Workshop, workshop_in

from noisette import Events, Experiment, find_checkpoint, train
from noisette.figures import Painter
from noisette_flows.cli.stages import _choice

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A working directory in which the tiny experiment is trained."""
    workshop = workshop_in(tmp_path_factory.mktemp("workshop"))
    experiment = Experiment.load(workshop.folder / "tiny.yaml")
    write_prepared(workshop.folder / "runs", experiment)
    train(experiment, workshop.folder / "runs", events=Events(installed=False))
    return workshop


def pixels(workshop: Workshop, folder: str) -> np.ndarray:
    paths = sorted((workshop.folder / folder).iterdir())
    return np.stack([np.asarray(Image.open(path)) for path in paths])


def test_images_of_a_run_are_files_that_a_seed_decides(workshop: Workshop) -> None:
    run = str(workshop.runs[0])
    wanted = ["--sampler", "ddim:eta=1", "--steps", "4", "--count", "3"]
    done = workshop.noisette("sample", run, *wanted, "--seed", "5", "--to", "five", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"] == [f"five/0000{index}.png" for index in range(3)]
    sampler = {"name": "ddim", "eta": 1, "steps": 4}
    expected = Painter.open(find_checkpoint(run), sampler, seed=5).draw(range(3))[:, 0]
    np.testing.assert_array_equal(pixels(workshop, "five"), expected)
    workshop.noisette("sample", "tiny.yaml", *wanted, "--seed", "6", "--to", "six")
    assert (pixels(workshop, "six") != expected).any()  # control


def test_a_folder_with_files_is_refused(workshop: Workshop) -> None:
    full = workshop.folder / "full"
    full.mkdir()
    (full / "00000.png").write_bytes(b"")
    done = workshop.noisette("sample", str(workshop.runs[0]), "--to", "full")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("full: expected a folder that is empty")
    assert (full / "00000.png").read_bytes() == b""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny.yaml", "--seed", "0"], "--seed is for image files"),
        (["tiny.yaml", "--again", "--to", "twice"], "for files give another --to FOLDER"),
        (["runs", "--count", "2"], "runs is a trained model"),
        (["tiny.yaml", "--class", "3", "--to", "classes"], "this network knows no classes"),
    ],
)
def test_what_cannot_be_done_is_said(workshop: Workshop, arguments: list[str], message: str) -> None:
    done = workshop.noisette("sample", *arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("sampler", "steps", "chosen"),
    [
        ("ddim:eta=1", 4, {"name": "ddim", "eta": 1, "steps": 4}),
        ("ddim", 4, {"name": "ddim", "steps": 4}),
        ("ddim", None, {"name": "ddim"}),
    ],
)
def test_samplers_have_options_without_files_too(sampler: str, steps: int | None, chosen: dict[str, Any]) -> None:
    assert _choice(sampler, steps, None) == {"sampling.samplers": [chosen]}
