"""The images that figures start from: a file of any size, a prepared image, or one that the model generates."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from errno import ENOENT
from os import strerror
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image

from noisette.checkpoint import Checkpoint
from noisette.config import Experiment
from noisette.contracts import Split
from noisette.data import Prepared
from noisette.data.decode import read_image
from noisette.data.transform import Fit, fit_to, to_array
from noisette.errors import DataError
from noisette.layout import data_directory
from noisette.sources import resolve_source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.contracts import Shape
    from noisette.figures.generator import ImageGenerator

__all__ = ["Fit", "ImageLoader", "fit_image", "open_image", "to_image"]


def open_image(path: Path | str) -> Image.Image:
    """Read an image file as the prepare stage does: upright, 8-bit, greyscale or RGB.

    Raises:
        DataError: if there is no such file or it is not an image, with the reason.
    """
    path = Path(path)
    example = read_image(path)
    if example.rejected == strerror(ENOENT):
        raise DataError(f"{path}: expected an image; got no such file")
    if example.image is None:
        raise DataError(f"{example.source}: cannot be read as an image: {example.rejected}")
    return example.image


def fit_image(image: Image.Image, shape: Shape, fit: Fit = "crop") -> tuple[NDArray[np.uint8], str]:
    """Return an image as uint8 (C, H, W) of a shape, and a description of the change; "" for no change.

    Args:
        image: of mode L or RGB.
        shape: channels (1 or 3), height and width.
        fit: how the size is changed, see `noisette.data.transform.fit_to`.

    Raises:
        DataError: if `shape` has neither one nor three channels.
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise DataError(f"expected a model of images with 1 or 3 channels; its images have {channels} channels")
    mode = "L" if channels == 1 else "RGB"
    changes = [] if image.mode == mode else ["made grey" if mode == "L" else "made RGB"]
    if image.size != (width, height):
        change = _describe_fit(image.size, (width, height), fit)
        changes.append(f"{change} from {image.width}x{image.height} to {width}x{height}")
    return to_array(fit_to(image.convert(mode), (width, height), fit)), ", ".join(changes)


def to_image(image: NDArray[np.uint8]) -> Image.Image:
    """Convert an array, uint8 (C, H, W) with one or three channels, to a Pillow image."""
    return Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))


_FIT_DESCRIPTIONS: dict[Fit, str] = {
    "crop": "cropped and scaled",
    "resize": "scaled out of proportion",
    "pad": "scaled and padded",
}


def _describe_fit(size: tuple[int, int], target: tuple[int, int], fit: Fit) -> str:
    if fit == "pad" and size[0] <= target[0] and size[1] <= target[1]:
        return "padded"
    same_proportions = abs(size[0] * target[1] - size[1] * target[0]) < max(*size, *target)
    return "scaled" if same_proportions else _FIT_DESCRIPTIONS[fit]


_INDEXED_NAME = re.compile(r"(test|train|generated):(\d+)")
_MAX_SIDE = 96
"""Pixels of the longer side to which an image of unspecified size is reduced, so that ten fit on a screen."""


@dataclass(frozen=True)
class ImageLoader:
    """Loads images by name and fits them to a shape.

    Attributes:
        find_data: returns the directory of the prepared images; None without an experiment.
        shape: channels, height and width of the images. None keeps an image's own, but the longer side of a file is
            reduced to 96 pixels.
        fit: how the size of an image is changed, see `noisette.data.transform.fit_to`.
        generator: generates images; None without a model.
    """

    find_data: Callable[[], Path] | None = None
    shape: tuple[int | None, int | None, int | None] = (None, None, None)
    fit: Fit = "crop"
    generator: ImageGenerator | None = None

    @classmethod
    def of(
        cls,
        checkpoint: Checkpoint,
        generator: ImageGenerator,
        *,
        experiment: Experiment | None = None,
        root: Path | str | None = None,
    ) -> ImageLoader:
        """Return a loader of images of a trained model's shape.

        Args:
            checkpoint: the trained network.
            generator: the model.
            experiment: its data and `preparation.fit` are used; None takes the checkpoint's experiment.
            root: results directory with the prepared images; None takes the checkpoint's.
        """
        options = checkpoint.about["experiment"] if experiment is None else experiment.options()
        results = checkpoint.root.resolve() if root is None else Path(root)

        def find_data() -> Path:
            return data_directory(experiment or Experiment.parse(options), results)

        return cls(find_data, generator.model.shape, cast(Fit, options["preparation"]["fit"]), generator)

    @classmethod
    def of_experiment(cls, experiment: Experiment | None, root: Path | str, size: int | None = None) -> ImageLoader:
        """Return a loader of images of the shape that an experiment prepares, or of height and width `size`."""
        if experiment is None:
            return cls(shape=(None, size, size))
        preparation = experiment.preparation
        side = size or preparation.size
        return cls(
            lambda: data_directory(experiment, Path(root)), (preparation.channels, side, side), preparation.fit
        )

    def __call__(self, name: str) -> tuple[NDArray[np.uint8], str]:
        """Return an image, uint8 (C, H, W), and a description of how it was changed to fit; "" for no change.

        Args:
            name: a file; package:sklearn/datasets/images/china.jpg, a file in an installed package; test:3 or
                train:3, a prepared image; or generated:3, image 3 of the model.

        Raises:
            DataError: if there is no such image.
        """
        indexed = None if Path(name).exists() else _INDEXED_NAME.fullmatch(name)
        if indexed is None:
            return self._fit(open_image(resolve_source(name)))
        source, index = indexed[1], int(indexed[2])
        if source == "generated":
            return self._generate(name, index), ""
        image = self._load_prepared(name, cast(Split, source), index)
        if all(side in (None, actual) for side, actual in zip(self.shape, image.shape, strict=True)):
            return image, ""
        return self._fit(to_image(image))

    def _fit(self, image: Image.Image) -> tuple[NDArray[np.uint8], str]:
        channels, height, width = self.shape
        factor = min(1, _MAX_SIDE / max(image.size))
        reduced = [max(1, round(side * factor)) for side in image.size]
        shape = (channels or len(image.getbands()), height or reduced[1], width or reduced[0])
        return fit_image(image, shape, self.fit)

    def _generate(self, name: str, index: int) -> NDArray[np.uint8]:
        if self.generator is None:
            raise DataError(f"{name}: expected an image file, as there is no trained model to generate images")
        image: NDArray[np.uint8] = self.generator.generate([index])[0]
        return image

    def _load_prepared(self, name: str, split: Split, index: int) -> NDArray[np.uint8]:
        if self.find_data is None:
            raise DataError(f"{name}: expected an image file; prepared images need the config of an experiment")
        directory = self.find_data()
        data = Prepared.finished(directory)
        if data is None:
            raise DataError(f"{name}: {directory} is not prepared; run `noisette prepare`, or give an image file")
        if split == "test" and not data.has_test_split:
            raise DataError(f"{name}: no images are held out; use train:{index}")
        if index >= data.count(split):
            raise DataError(f"{name}: expected an index from 0 to {data.count(split) - 1}; got {index}")
        image: NDArray[np.uint8] = data.images(split)[index]
        return image
