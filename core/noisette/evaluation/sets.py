"""Sets of images to compare: arrays or any object that can be sliced like one, with a hash of the content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from noisette.diffusion.noise import Noise, derive_seed
from noisette.errors import DataError
from noisette.pixels import to_bytes

if TYPE_CHECKING:
    from noisette.contracts import Shape
    from noisette.contracts.images import Images
    from noisette.data import Prepared

__all__ = ["ImageSet", "heldout", "noise", "reference", "test"]

_CHUNK = 1 << 24
"""Bytes hashed at a time."""


@dataclass(frozen=True)
class ImageSet:
    """A set of images, in memory or on disk.

    Attributes:
        name: name in messages.
        images: uint8 (N, C, H, W) with one or three channels.
        labels: int64 (N,), or None.
        parent: for a subset, the full set and the indices in it; otherwise None.

    Raises:
        DataError: if the images have another dtype or shape, or there is not one label per image.
    """

    name: str
    images: Images
    labels: NDArray[np.int64] | None = None
    parent: tuple[ImageSet, NDArray[np.int64]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape, labels = self.images.shape, self.labels
        if self.images.dtype != np.uint8 or len(shape) != 4 or shape[1] not in (1, 3):
            came = f"{self.images.dtype} {tuple(shape)}"
            raise DataError(f"{self.name}: expected images, uint8 (N, 1 or 3, H, W); got {came}")
        if labels is not None and labels.shape != shape[:1]:
            raise DataError(f"{self.name}: expected {len(self)} labels; got shape {labels.shape}")

    def __len__(self) -> int:
        return self.images.shape[0]

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the shape and the values of the images."""
        shape = tuple(map(int, self.images.shape))
        digest = hashlib.sha256(f"uint8 {shape}".encode())
        rows = max(1, _CHUNK // max(1, int(np.prod(shape[1:]))))
        for start in range(0, len(self), rows):
            digest.update(np.ascontiguousarray(self.images[start : start + rows]).data)
        return digest.hexdigest()

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the images and labels."""
        if self.labels is None:
            return self.sha256
        labels = np.ascontiguousarray(self.labels, dtype="<i8")
        return hashlib.sha256(self.sha256.encode() + labels.tobytes()).hexdigest()

    def subset(self, count: int, generator: np.random.Generator) -> ImageSet:
        """Return `count` images, drawn without replacement and kept in order, or all if there are fewer."""
        return self if count >= len(self) else self.split(count, generator)[0]

    def split(self, count: int, generator: np.random.Generator) -> tuple[ImageSet, ImageSet]:
        """Return `count` images, drawn without replacement, and the remaining ones, both in order."""
        order = generator.permutation(len(self))
        return self._select(np.sort(order[:count])), self._select(np.sort(order[count:]))

    def _select(self, chosen: NDArray[np.int64]) -> ImageSet:
        labels = None if self.labels is None else self.labels[chosen]
        return ImageSet(self.name, _Subset(self.images, chosen), labels, (self, chosen))


class _Subset:
    """A lazily read subset of images."""

    def __init__(self, images: Images, chosen: NDArray[np.int64]) -> None:
        self.images, self.chosen = images, chosen
        self.shape, self.dtype = (len(chosen), *images.shape[1:]), images.dtype

    def __getitem__(self, rows: slice, /) -> NDArray[np.uint8]:
        found = [self.images[index : index + 1] for index in self.chosen[rows].tolist()]
        return np.concatenate(found) if found else np.empty((0, *self.shape[1:]), np.uint8)


def reference(data: Prepared) -> ImageSet:
    """Return the reference that all other sets are compared with: the real images of the train split."""
    return ImageSet("train", data.images("train"), data.labels("train"))


def heldout(data: Prepared, count: int, seed: int) -> ImageSet | None:
    """Return `count` real images of the test split, drawn at random from the seed, or all if there are fewer."""
    images = test(data)
    return images and images.subset(count, np.random.default_rng(derive_seed(seed, "held-out")))


def test(data: Prepared) -> ImageSet | None:
    """Return all real images of the test split, or None if nothing is held out."""
    if not data.has_test_split:
        return None
    return ImageSet("held-out", data.images("test"), data.labels("test"))


def noise(shape: Shape, count: int, seed: int) -> ImageSet:
    """Return standard normal noise as images: -1 is black, 0 grey and 1 white; other values are clipped.

    Image i is the initial noise of generated image i.
    """
    return ImageSet("noise", _NoiseImages(shape, count, seed))


class _NoiseImages:
    """Lazily drawn noise images."""

    def __init__(self, shape: Shape, count: int, seed: int) -> None:
        self.shape, self.dtype, self.seed = (count, *shape), np.dtype(np.uint8), seed

    def __getitem__(self, rows: slice, /) -> NDArray[np.uint8]:
        indices = range(*rows.indices(self.shape[0]))
        noise_images: NDArray[np.uint8] = to_bytes(Noise(self.seed, indices, self.shape[1:])()).numpy()
        return noise_images
