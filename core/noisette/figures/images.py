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
from noisette.data.decode import read_picture
from noisette.data.transform import Fit, fit_to, to_array
from noisette.errors import DataError
from noisette.layout import data_directory
from noisette.sources import located

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.contracts import Shape
    from noisette.figures.generator import Painter

__all__ = ["Fit", "Gallery", "fitted", "open_picture", "to_image"]


def open_picture(path: Path | str) -> Image.Image:
    """Read a picture file as preparation reads it: upright, 8-bit, grey or RGB.

    Raises:
        DataError: with the reason, if there is no picture in it.
    """
    path = Path(path)
    example = read_picture(path)
    if example.rejected == strerror(ENOENT):
        raise DataError(f"{path}: there is no such file; expected a picture")
    if example.image is None:
        raise DataError(f"{example.source}: cannot be read as a picture: {example.rejected}")
    return example.image


def fitted(image: Image.Image, shape: Shape, fit: Fit = "crop") -> tuple[NDArray[np.uint8], str]:
    """Return a picture as uint8 (C, H, W) of a shape, and what was done to it in words; "" for nothing.

    Args:
        image: of mode L or RGB.
        shape: channels (1 or 3), height and width.
        fit: as prepared images are fitted; see `noisette.data.transform.fit_to`.

    Raises:
        DataError: if pictures of the shape have neither one nor three channels.
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise DataError(f"expected a model of grey or RGB pictures; this one's have {channels} channels")
    mode = "L" if channels == 1 else "RGB"
    done = [] if image.mode == mode else ["made grey" if mode == "L" else "made RGB"]
    if image.size != (width, height):
        words = _words(image.size, (width, height), fit)
        done.append(f"{words} from {image.width}x{image.height} to {width}x{height}")
    return to_array(fit_to(image.convert(mode), (width, height), fit)), ", ".join(done)


def to_image(picture: NDArray[np.uint8]) -> Image.Image:
    """Return a picture, uint8 (C, H, W) with one or three channels, as an image of its size."""
    return Image.fromarray(picture[0] if len(picture) == 1 else np.ascontiguousarray(picture.transpose(1, 2, 0)))


def _words(size: tuple[int, int], wanted: tuple[int, int], fit: Fit) -> str:
    alike = abs(size[0] * wanted[1] - size[1] * wanted[0]) < max(*size, *wanted)
    if fit == "pad" and size[0] <= wanted[0] and size[1] <= wanted[1]:
        return "padded"
    return "scaled" if alike else _WORDS[fit]


_WORDS: dict[Fit, str] = {
    "crop": "cropped and scaled",
    "resize": "scaled out of proportion",
    "pad": "scaled and padded",
}


_NUMBERED = re.compile(r"(test|train|drawn):(\d+)")
_LONGEST = 96
"""Pixels of the longer side that a picture is reduced to where nothing says its size: ten of it fill a screen."""


@dataclass(frozen=True)
class Gallery:
    """Where pictures come from, and what they are fitted to.

    Attributes:
        data: says where the experiment's prepared pictures lie; None if there is no experiment.
        shape: channels, height and width that they are fitted to; None stands for their own, but a file of any size
            is made small.
        fit: how they are fitted; see `noisette.figures.fitted`.
        painter: draws the model's own; None if there is no model.
    """

    data: Callable[[], Path] | None = None
    shape: tuple[int | None, int | None, int | None] = (None, None, None)
    fit: Fit = "crop"
    painter: Painter | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint, painter: Painter) -> Gallery:
        """Return the gallery of a trained model: its data are looked for beside its run."""
        options, root = checkpoint.about["experiment"], checkpoint.root.resolve()
        fit = cast(Fit, options["preparation"]["fit"])
        return cls(lambda: data_directory(Experiment.parse(options), root), painter.model.shape, fit, painter)

    def __call__(self, name: str) -> tuple[NDArray[np.uint8], str]:
        """Return a picture, uint8 (C, H, W), and what was done to it in words; "" for nothing.

        Args:
            name: a file; package:sklearn/datasets/images/china.jpg, one inside a package; test:3 or train:3 for a
                prepared picture; or drawn:3 for number 3 of what the model draws.

        Raises:
            DataError: if there is no such picture.
        """
        numbered = None if Path(name).exists() else _NUMBERED.fullmatch(name)
        if numbered is None:
            return self._fitted(open_picture(located(name)))
        source, number = numbered[1], int(numbered[2])
        if source == "drawn":
            return self._drawn(name, number), ""
        picture = self._prepared(name, cast(Split, source), number)
        if all(wanted in (None, side) for wanted, side in zip(self.shape, picture.shape, strict=True)):
            return picture, ""
        return self._fitted(to_image(picture))

    def _fitted(self, image: Image.Image) -> tuple[NDArray[np.uint8], str]:
        channels, height, width = self.shape
        factor = min(1, _LONGEST / max(image.size))
        small = [max(1, round(side * factor)) for side in image.size]
        shape = (channels or len(image.getbands()), height or small[1], width or small[0])
        return fitted(image, shape, self.fit)

    def _drawn(self, name: str, number: int) -> NDArray[np.uint8]:
        if self.painter is None:
            raise DataError(f"{name}: only a trained model draws; give a picture file")
        picture: NDArray[np.uint8] = self.painter.draw([number])[0]
        return picture

    def _prepared(self, name: str, split: Split, number: int) -> NDArray[np.uint8]:
        if self.data is None:
            raise DataError(f"{name}: there is no such file; prepared pictures are those of a config: give one")
        directory = self.data()
        data = Prepared.finished(directory)
        if data is None:
            raise DataError(f"{name}: {directory} is not prepared; prepare it, or give a picture file")
        if number >= data.count(split):
            raise DataError(f"{name}: there are {data.count(split)} pictures, numbered from 0")
        picture: NDArray[np.uint8] = data.pictures(split)[number]
        return picture
