"""`noisette sample`: image files from a trained model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from support.workshop import Finished

from noisette import find_checkpoint
from noisette.process import Painter


def pixels(finished: Finished, folder: str) -> np.ndarray:
    paths = sorted((finished.workshop.folder / folder).iterdir())
    return np.stack([np.asarray(Image.open(path)) for path in paths])


def test_images_of_a_run_are_files_that_a_seed_decides(finished: Finished) -> None:
    run = str(finished.run)
    wanted = ["--sampler", "ddim:eta=1", "--steps", "4", "--count", "3"]
    done = finished.workshop.noisette("sample", run, *wanted, "--seed", "5", "--to", "five", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"] == [f"five/0000{index}.png" for index in range(3)]
    sampler = {"name": "ddim", "eta": 1, "steps": 4}
    expected = Painter.open(find_checkpoint(run), sampler, seed=5).draw(range(3))[:, 0]
    np.testing.assert_array_equal(pixels(finished, "five"), expected)
    finished.workshop.noisette("sample", "tiny.yaml", *wanted, "--seed", "6", "--to", "six")
    assert (pixels(finished, "six") != expected).any()  # control


def test_a_folder_with_files_is_refused(finished: Finished) -> None:
    full = finished.workshop.folder / "full"
    full.mkdir()
    (full / "00000.png").write_bytes(b"")
    done = finished.workshop.noisette("sample", str(finished.run), "--to", "full")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("full: expected a folder that is empty")
    assert (full / "00000.png").read_bytes() == b""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny.yaml", "--seed", "0"], "--seed is for image files"),
        (["runs", "--count", "2"], "runs is a trained model"),
        (["tiny.yaml", "--class", "3", "--to", "classes"], "this network knows no classes"),
    ],
)
def test_what_cannot_be_done_is_said(finished: Finished, arguments: list[str], message: str) -> None:
    done = finished.workshop.noisette("sample", *arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_samplers_have_options_without_files_too(finished: Finished) -> None:
    done = finished.workshop.noisette(
        "sample", "tiny.yaml", "--sampler", "ddim:eta=1", "--steps", "4", "--tracking-uri", "off"
    )
    assert done.returncode == 0, done.stderr
    assert "sample ddim-4-eta=1: finished" in done.stdout
