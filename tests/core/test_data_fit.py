"""Fitting: where the pixels go, and that scaling neither aliases nor shifts."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from noisette.config import Preparation
from noisette.data.transform import to_uniform


def fitted(array: np.ndarray, **options) -> np.ndarray:
    return to_uniform(Image.fromarray(array), Preparation(**options))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_nothing_asked_nothing_changed():
    grey, colour = noise(5, 7), noise(5, 7, 3)
    assert (fitted(grey) == grey[None]).all()
    assert (fitted(colour) == colour.transpose(2, 0, 1)).all()
    assert fitted(colour).flags.c_contiguous


@pytest.mark.parametrize("fit", ["crop", "resize", "pad"])
def test_a_image_of_the_right_size_is_not_touched(fit: str):
    image = noise(16, 16, 3)
    assert (fitted(image, size=16, fit=fit) == image.transpose(2, 0, 1)).all()


def test_channels_are_made_equal():
    colour = np.zeros((2, 2, 3), dtype=np.uint8)
    colour[0, 0], colour[0, 1], colour[1, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    assert fitted(colour, channels=1).tolist() == [[[76, 150], [29, 0]]]  # ITU-R 601: .299 .587 .114
    grey = noise(3, 4)
    assert (fitted(grey, channels=3) == np.stack([grey] * 3)).all()


def test_pad_puts_mnist_in_the_middle_of_black():
    image = noise(28, 28)
    found = fitted(image, size=32, fit="pad")[0].copy()
    assert (found[2:30, 2:30] == image).all()
    found[2:30, 2:30] = 0
    assert not found.any()


def test_pad_shrinks_what_is_too_large_and_keeps_its_proportions():
    found = fitted(np.full((50, 100), 200, dtype=np.uint8), size=32, fit="pad")[0]
    assert (found[8:24] == 200).all()
    assert not found[:8].any()
    assert not found[24:].any()
    assert fitted(np.full((1, 1000), 9, dtype=np.uint8), size=8, fit="pad").sum() == 8 * 9


@pytest.mark.parametrize("axis", [0, 1])
def test_crop_takes_the_centre_square(axis: int):
    image = np.repeat(np.array([10, 10, 200, 200, 10, 10], dtype=np.uint8), 8)
    image = np.broadcast_to(image, (16, 48))
    image = image if axis == 1 else image.T
    assert (fitted(np.ascontiguousarray(image), size=16) == 200).all()
    assert fitted(np.ascontiguousarray(image), size=16, fit="resize").min() < 30  # control: it takes all


def test_crop_of_an_odd_rest_keeps_the_extra_pixel_on_the_far_side():
    assert fitted(np.array([[1, 2, 3, 4]], dtype=np.uint8), size=1).tolist() == [[[2]]]


@pytest.mark.parametrize("factor", [2, 4, 8, 32])
def test_making_smaller_does_not_alias(factor: int):
    side = 8 * factor
    board = ((np.indices((side, side)).sum(axis=0) % 2) * 255).astype(np.uint8)
    assert np.abs(fitted(board, size=8).astype(int) - 127).max() <= 8
    picked = np.asarray(Image.fromarray(board).resize((8, 8), Image.Resampling.NEAREST))
    assert set(picked.ravel().tolist()) <= {0, 255}  # control: what picking pixels gives


@pytest.mark.parametrize("size", [16, 40, 64, 128])
def test_scaling_does_not_shift(size: int):
    """A blob in the middle stays in the middle; a linear ramp stays a ramp of the same mean."""
    y, x = np.indices((64, 64)) - 31.5
    blob = fitted((255 * np.exp(-(x**2 + y**2) / 200)).round().astype(np.uint8), size=size)[0].astype(float)
    centre = (blob * np.arange(size)).sum() / blob.sum()
    assert centre == pytest.approx((size - 1) / 2, abs=0.02)
    ramp = fitted(np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1)), size=size)[0]
    assert ramp.mean() == pytest.approx(126, abs=0.5)
    assert (np.diff(ramp.astype(int), axis=1)[:, 2:-2] >= 0).all()


def test_the_shortcut_for_large_images_looks_the_same():
    y, x = np.indices((640, 640)) / 40
    image = (127 + 60 * np.sin(x) * np.cos(y) + 60 * np.sin(3 * y)).round().astype(np.uint8)
    exact = np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BICUBIC))
    assert np.abs(fitted(image, size=32)[0].astype(int) - exact).max() <= 3


def test_making_larger_interpolates_between_its_bounds():
    found = fitted(np.array([[0, 0], [240, 240]], dtype=np.uint8), size=8)[0]
    assert (np.diff(found[:, 0].astype(int)) >= 0).all()
    assert len(set(found[:, 0].tolist())) > 2
    assert (fitted(np.full((3, 3, 3), 77, dtype=np.uint8), size=50) == 77).all()
