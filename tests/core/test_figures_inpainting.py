"""Filling in and enlarging with a trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.tiny import tiny, write_prepared

from noisette import DataError, train
from noisette.figures import ImageGenerator, box_mask, inpaint_image, low_res_shape, upscale_image
from noisette_plugins.samplers import DDPM

IMAGE = np.arange(64, dtype=np.uint8).reshape(1, 8, 8) * 3


def generator(root: Path, *overrides: str) -> ImageGenerator:
    experiment = tiny(*overrides)
    write_prepared(root, experiment)
    return ImageGenerator.open(train(experiment, root), DDPM(steps=4))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> ImageGenerator:
    return generator(tmp_path_factory.mktemp("plain"), "training.class_conditional=true")


@pytest.fixture(scope="module")
def enlarging(tmp_path_factory: pytest.TempPathFactory) -> ImageGenerator:
    return generator(tmp_path_factory.mktemp("enlarging"), "training.low_res_size=4")


def test_what_is_known_stays_and_what_is_missing_differs(plain: ImageGenerator) -> None:
    mask = box_mask((8, 8), (2, 1, 5, 3))
    done = inpaint_image(plain, IMAGE, mask, count=3, jump_length=2, jump_n_sample=2)
    assert done.results.shape == (3, 1, 8, 8)
    assert (done.results[:, :, ~mask] == IMAGE[:, ~mask]).all()
    assert not np.array_equal(done.results[0], done.results[1])
    assert (done.given["given"][:, mask] == 128).all()
    again = inpaint_image(plain, IMAGE, mask, count=1, jump_length=2, jump_n_sample=2)
    assert np.array_equal(again.results[0], done.results[0])  # however many are drawn
    classed = inpaint_image(plain, IMAGE, mask, count=1, class_name="3", jump_length=2, jump_n_sample=2)
    assert not np.array_equal(classed.results[0], done.results[0])
    assert done.grid().width > 5 * 8


def test_boxes() -> None:
    assert np.argwhere(box_mask((8, 6))).tolist()[0] == [2, 1]
    assert int(box_mask((8, 6)).sum()) == 4 * 3
    assert int(box_mask((8, 6), (4, -2, 10, 4)).sum()) == 2 * 2  # what is outside is cut off
    with pytest.raises(DataError, match="box: expected pixels of the image"):
        box_mask((8, 6), (6, 0, 2, 2))


def test_small_and_large_images_are_enlarged(enlarging: ImageGenerator) -> None:
    assert low_res_shape(enlarging) == (1, 4, 4)
    large = upscale_image(enlarging, IMAGE, count=2)
    assert list(large.given) == ["small", "image", "bicubic"]
    small = large.given["small"][:, ::2, ::2]
    again = upscale_image(enlarging, small, count=2)
    assert list(again.given) == ["small", "bicubic"]
    assert np.array_equal(large.results, again.results)
    assert not np.array_equal(large.results[0], large.results[1])
    mean = IMAGE.reshape(1, 4, 2, 4, 2).mean(axis=(2, 4))
    assert np.abs(small.astype(float) - mean).max() <= 0.51


def test_what_cannot_be_completed_is_refused(plain: ImageGenerator, enlarging: ImageGenerator) -> None:
    with pytest.raises(DataError, match="expected at least one pixel to fill in"):
        inpaint_image(plain, IMAGE, np.zeros((8, 8), dtype=np.bool_))
    with pytest.raises(DataError, match=r"mask: expected the image's height and width, \(8, 8\); got \(8, 9\)"):
        inpaint_image(plain, IMAGE, np.ones((8, 9), dtype=np.bool_))
    with pytest.raises(DataError, match=r"expected a network trained with training\.low_res_size"):
        upscale_image(plain, IMAGE)
    with pytest.raises(DataError, match="expected them to enlarge"):
        inpaint_image(enlarging, IMAGE, box_mask((8, 8)))
    with pytest.raises(DataError, match=r"expected images of shape \(1, 8, 8\); got \(1, 9, 9\)"):
        upscale_image(enlarging, np.zeros((1, 9, 9), dtype=np.uint8))
