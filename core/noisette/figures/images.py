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
    """Read an image file as preparation reads it: upright, 8-bit, grey or RGB.

    Raises:
        DataError: with the reason, if there is no image in it.
    """
    path = Path(path)
    example = read_image(path)
    if example.rejected == strerror(ENOENT):
        raise DataError(f"{path}: there is no such file; expected an image")
    if example.image is None:
        raise DataError(f"{example.source}: cannot be read as an image: {example.rejected}")
    return example.image


def fit_image(image: Image.Image, shape: Shape, fit: Fit = "crop") -> tuple[NDArray[np.uint8], str]:
    """Return an image as uint8 (C, H, W) of a shape, and what was done to it in words; "" for nothing.

    Args:
        image: of mode L or RGB.
        shape: channels (1 or 3), height and width.
        fit: as prepared images are fitted; see `noisette.data.transform.fit_to`.

    Raises:
        DataError: if images of the shape have neither one nor three channels.
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise DataError(f"expected a model of grey or RGB images; this one's have {channels} channels")
    mode = "L" if channels == 1 else "RGB"
    done = [] if image.mode == mode else ["made grey" if mode == "L" else "made RGB"]
    if image.size != (width, height):
        words = _describe_fit(image.size, (width, height), fit)
        done.append(f"{words} from {image.width}x{image.height} to {width}x{height}")
    return to_array(fit_to(image.convert(mode), (width, height), fit)), ", ".join(done)


def to_image(image: NDArray[np.uint8]) -> Image.Image:
    """Return an image, uint8 (C, H, W) with one or three channels, as an image of its size."""
    return Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))


def _describe_fit(size: tuple[int, int], wanted: tuple[int, int], fit: Fit) -> str:
    alike = abs(size[0] * wanted[1] - size[1] * wanted[0]) < max(*size, *wanted)
    if fit == "pad" and size[0] <= wanted[0] and size[1] <= wanted[1]:
        return "padded"
    return "scaled" if alike else _FIT_DESCRIPTIONS[fit]


_FIT_DESCRIPTIONS: dict[Fit, str] = {
    "crop": "cropped and scaled",
    "resize": "scaled out of proportion",
    "pad": "scaled and padded",
}


_INDEXED_NAME = re.compile(r"(test|train|drawn):(\d+)")
_MAX_SIDE = 96
"""Pixels of the longer side that an image is reduced to where nothing says its size: ten of it fill a screen."""


@dataclass(frozen=True)
class ImageLoader:
    """Where images come from, and what they are fitted to.

    Attributes:
        data: says where the experiment's prepared images lie; None if there is no experiment.
        shape: channels, height and width that they are fitted to; None stands for their own, but a file of any size
            is made small.
        fit: how they are fitted; see `noisette.figures.fit_image`.
        generator: draws the model's own; None if there is no model.
    """

    data: Callable[[], Path] | None = None
    shape: tuple[int | None, int | None, int | None] = (None, None, None)
    fit: Fit = "crop"
    generator: ImageGenerator | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint, generator: ImageGenerator) -> ImageLoader:
        """Return the gallery of a trained model: its data are looked for beside its run."""
        options, root = checkpoint.about["experiment"], checkpoint.root.resolve()
        fit = cast(Fit, options["preparation"]["fit"])
        return cls(lambda: data_directory(Experiment.parse(options), root), generator.model.shape, fit, generator)

    def __call__(self, name: str) -> tuple[NDArray[np.uint8], str]:
        """Return an image, uint8 (C, H, W), and what was done to it in words; "" for nothing.

        Args:
            name: a file; package:sklearn/datasets/images/china.jpg, one inside a package; test:3 or train:3 for a
                prepared image; or drawn:3 for number 3 of what the model draws.

        Raises:
            DataError: if there is no such image.
        """
        numbered = None if Path(name).exists() else _INDEXED_NAME.fullmatch(name)
        if numbered is None:
            return self._fit(open_image(resolve_source(name)))
        source, number = numbered[1], int(numbered[2])
        if source == "generated":
            return self._generated(name, number), ""
        image = self._prepared(name, cast(Split, source), number)
        if all(wanted in (None, side) for wanted, side in zip(self.shape, image.shape, strict=True)):
            return image, ""
        return self._fit(to_image(image))

    def _fit(self, image: Image.Image) -> tuple[NDArray[np.uint8], str]:
        channels, height, width = self.shape
        factor = min(1, _MAX_SIDE / max(image.size))
        small = [max(1, round(side * factor)) for side in image.size]
        shape = (channels or len(image.getbands()), height or small[1], width or small[0])
        return fit_image(image, shape, self.fit)

    def _generated(self, name: str, number: int) -> NDArray[np.uint8]:
        if self.generator is None:
            raise DataError(f"{name}: only a trained model draws; give an image file")
        image: NDArray[np.uint8] = self.generator.generate([number])[0]
        return image

    def _prepared(self, name: str, split: Split, number: int) -> NDArray[np.uint8]:
        if self.data is None:
            raise DataError(f"{name}: there is no such file; prepared images are those of a config: give one")
        directory = self.data()
        data = Prepared.finished(directory)
        if data is None:
            raise DataError(f"{name}: {directory} is not prepared; prepare it, or give an image file")
        if number >= data.count(split):
            raise DataError(f"{name}: there are {data.count(split)} images, numbered from 0")
        image: NDArray[np.uint8] = data.images(split)[number]
        return image
