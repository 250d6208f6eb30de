"""`noisette figure inpaint` and `upscale`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.workspace import FinishedRun
from typer.testing import CliRunner

from noisette import DataError, NoisetteError
from noisette_flows.cli import app


def called(*words: object) -> list[Path]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(done.exception, NoisetteError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return [Path(line) for line in done.stdout.splitlines()]


def values(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    with Image.open(path) as image:
        return np.asarray(image).astype(np.int64)


def test_a_mask_says_what_is_filled_in(finished: FinishedRun, tmp_path: Path) -> None:
    white = np.zeros((16, 16), dtype=np.uint8)
    white[:, 8:] = 255  # twice the model's size: it is fitted
    Image.fromarray(white).save(tmp_path / "mask.png")
    image = np.full((8, 8), 200, dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "image.png")
    words = (
        "--mask",
        tmp_path / "mask.png",
        "--steps",
        4,
        "--num-images",
        2,
        "--jump-n-sample",
        2,
        "--to",
        tmp_path / "out",
    )
    grid, first, second = called("figure", "inpaint", finished.run, tmp_path / "image.png", *words)
    assert grid.name == "inpaint-image.png"
    assert (values(first)[:, :4] == 200).all()
    assert not (values(first)[:, 4:] == 200).all()
    assert not np.array_equal(values(first), values(second))


def test_wrong_words_are_one_message(finished: FinishedRun, tmp_path: Path) -> None:
    runner = CliRunner()
    both = ["figure", "inpaint", str(finished.run), "test:0", "--mask", "m.png", "--box", "0,0,1,1"]
    assert "expected --mask or --box; got both" in runner.invoke(app, both).output
    assert "LEFT,TOP,WIDTH,HEIGHT" in runner.invoke(app, [*both[:4], "--box", "1,2"]).output
    with pytest.raises(DataError, match="box: expected pixels of the image"):
        called(
            "figure", "inpaint", finished.run, "generated:0", "--steps", 4, "--box", "90,0,4,4", "--to", tmp_path
        )
    with pytest.raises(DataError, match=r"expected a network trained with training\.low_res_size"):
        called("figure", "upscale", finished.run, "generated:0", "--to", tmp_path)
