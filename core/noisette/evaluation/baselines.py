"""The rows that give numbers a meaning: real pictures that the model has not seen, and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from noisette.diffusion.noise import Noise, derive_seed
from noisette.evaluation.sets import PictureSet
from noisette.sampling.draw import to_bytes

if TYPE_CHECKING:
    from noisette.contracts import Shape
    from noisette.data import Prepared

__all__ = ["heldout", "noise", "reference", "test"]


def reference(data: Prepared) -> PictureSet:
    """Return the real pictures that all others are compared with: the train split."""
    return PictureSet("train", data.pictures("train"), data.labels("train"))


def heldout(data: Prepared, count: int, seed: int) -> PictureSet:
    """Return `count` real pictures of the test split, drawn by the seed, or all if there are no more."""
    return test(data).some(count, np.random.default_rng(derive_seed(seed, "held-out")))


def test(data: Prepared) -> PictureSet:
    """Return all real pictures of the test split."""
    return PictureSet("held-out", data.pictures("test"), data.labels("test"))


def noise(shape: Shape, count: int, seed: int) -> PictureSet:
    """Return standard normal noise as pictures: 0 is grey, -1 and 1 are black and white, beyond is clipped.

    Picture i is what the samplers' picture i started from.
    """
    return PictureSet("noise", _NoisePictures(shape, count, seed))


class _NoisePictures:
    """Noise, drawn when it is asked for."""

    def __init__(self, shape: Shape, count: int, seed: int) -> None:
        self.shape, self.dtype, self.seed = (count, *shape), np.dtype(np.uint8), seed

    def __getitem__(self, rows: slice, /) -> NDArray[np.uint8]:
        indices = range(*rows.indices(self.shape[0]))
        drawn: NDArray[np.uint8] = to_bytes(Noise(self.seed, indices, self.shape[1:])()).numpy()
        return drawn
