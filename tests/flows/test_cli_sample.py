"""`noisette sample`: image files from a trained model."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.tiny import write_prepared
from support.workspace import Workspace, make_workspace, with_databases

from noisette import Events, Experiment, find_checkpoint, train
from noisette.figures import ImageGenerator
from noisette_flows.cli.sample import _sampling_overrides

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A working directory in which the tiny experiment is trained."""
    workspace = with_databases(make_workspace(tmp_path_factory.mktemp("workspace")))
    experiment = Experiment.load(workspace.folder / "tiny.yaml")
    write_prepared(workspace.folder / "runs", experiment)
    train(experiment, workspace.folder / "runs", events=Events(installed=False))
    return workspace


def pixels(workspace: Workspace, folder: str) -> np.ndarray:
    paths = sorted((workspace.folder / folder).iterdir())
    return np.stack([np.asarray(Image.open(path)) for path in paths])


def test_images_of_a_run_are_files_that_a_seed_decides(workspace: Workspace) -> None:
    run = str(workspace.runs[0])
    wanted = ["--sampler", "ddim:eta=1", "--steps", "4", "--num-images", "3"]
    done = workspace.noisette("sample", run, *wanted, "--seed", "5", "--to", "five", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"] == [f"five/0000{index}.png" for index in range(3)]
    sampler = {"name": "ddim", "eta": 1, "steps": 4}
    expected = ImageGenerator.open(find_checkpoint(run), sampler, seed=5).generate(range(3))[:, 0]
    np.testing.assert_array_equal(pixels(workspace, "five"), expected)
    workspace.noisette("sample", "tiny.yaml", *wanted, "--seed", "6", "--to", "six")
    assert (pixels(workspace, "six") != expected).any()  # control


def test_a_folder_with_files_is_refused(workspace: Workspace) -> None:
    full = workspace.folder / "full"
    full.mkdir()
    (full / "00000.png").write_bytes(b"")
    done = workspace.noisette("sample", str(workspace.runs[0]), "--to", "full")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("full: expected a new or empty folder")
    assert (full / "00000.png").read_bytes() == b""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny.yaml", "--seed", "0"], "--seed: expected --to FOLDER too"),
        (["tiny.yaml", "--again", "--to", "twice"], "got --to: name another folder"),
        (["tiny.yaml", "--tracking-uri", "sqlite:///two.db", "--to", "logged"], "image files are not logged"),
        (["runs", "--num-images", "2"], "runs: expected an experiment's YAML file, or --to"),
        (["tiny.yaml", "--class", "3", "--to", "classes"], "class: expected none"),
    ],
)
def test_what_cannot_be_done_is_said(workspace: Workspace, arguments: list[str], message: str) -> None:
    done = workspace.noisette("sample", *arguments)
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
    assert _sampling_overrides(sampler, steps, None) == {"sampling.samplers": [chosen]}
