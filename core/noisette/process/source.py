"""Pictures to begin from: a file of any size, fitted to what a model or a process takes."""

from __future__ import annotations

from errno import ENOENT
from os import strerror
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageOps

from noisette.data.convert import read_picture
from noisette.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.contracts import Shape

__all__ = ["Fit", "fitted", "open_picture", "to_image"]

Fit = Literal["crop", "resize", "pad"]


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
        fit: crop what is beyond the shape's proportions, resize without regard to them, or pad with black.

    Raises:
        DataError: if pictures of the shape have neither one nor three channels.
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise DataError(f"expected a model of grey or RGB pictures; this one's have {channels} channels")
    mode = "L" if channels == 1 else "RGB"
    done = [] if image.mode == mode else ["made grey" if mode == "L" else "made RGB"]
    if image.size != (width, height):
        alike = abs(image.width * height - image.height * width) < max(width, height, *image.size)
        words = "scaled" if alike else _WORDS[fit]
        done.append(f"{words} from {image.width}x{image.height} to {width}x{height}")
    image = image.convert(mode)
    if image.size != (width, height):
        image = _FITS[fit](image, (width, height), Image.Resampling.BICUBIC)
    values = np.asarray(image)
    return values[None] if channels == 1 else np.ascontiguousarray(values.transpose(2, 0, 1)), ", ".join(done)


def to_image(picture: NDArray[np.uint8]) -> Image.Image:
    """Return a picture, uint8 (C, H, W) with one or three channels, as an image of its size."""
    return Image.fromarray(picture[0] if len(picture) == 1 else np.ascontiguousarray(picture.transpose(1, 2, 0)))


_WORDS = {"crop": "cropped and scaled", "resize": "scaled out of proportion", "pad": "scaled and padded"}


def _resize(image: Image.Image, size: tuple[int, int], method: Image.Resampling) -> Image.Image:
    return image.resize(size, method)


_FITS = {"crop": ImageOps.fit, "resize": _resize, "pad": ImageOps.pad}
