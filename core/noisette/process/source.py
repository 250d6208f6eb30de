"""Pictures to begin from: a file of any size, fitted to what a model or a process takes."""

from __future__ import annotations

from errno import ENOENT
from os import strerror
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from noisette.data.convert import read_picture
from noisette.data.fit import Fit, fit_to, to_array
from noisette.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.contracts import Shape

__all__ = ["Fit", "fitted", "open_picture", "to_image"]


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
        fit: as prepared images are fitted; see `noisette.data.fit.fit_to`.

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
