"""Conversion of every colour mode of an image file to 8-bit grey (L) or RGB.

| input                                   | result                                                      |
|-----------------------------------------|-------------------------------------------------------------|
| 1, L                                    | L                                                           |
| RGB, P, CMYK, YCbCr, HSV                | RGB                                                         |
| LA, PA, RGBA, a transparent colour      | composited over white, then L or RGB                        |
| 12-bit and 16-bit grey                  | L, scaled: the largest value of the format becomes 255      |
| 32-bit float, finite and in [0, 1]      | L, scaled: 1 becomes 255                                    |
| other floats, 32-bit or signed integers | rejected: the value of white is undefined                   |
| 16-bit colour with a transparent colour | rejected: transparency depends on the discarded low bytes   |
| LAB and everything else                 | rejected                                                    |

Pillow reduces 16-bit colour to the high byte when it reads the file. Colour profiles are not applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["UnreadableError", "iter_bands", "to_l_or_rgb"]

_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0

_BAND_PIXELS = 1 << 22

_GREY = {"1", "L"}
_COLOUR = {"RGB", "RGBX", "P", "CMYK", "YCbCr", "HSV"}
_SIXTEEN_BITS = {"I;16", "I;16L", "I;16B", "I;16N"}
_SIXTEEN_BITS_IN_I = {"PNG", "PPM"}
"""Formats in which mode I has 16 bits. In TIFF it has 32 bits or is signed."""


class UnreadableError(ValueError):
    """The image cannot be converted or is damaged; the message gives the reason."""


def to_l_or_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded image to mode L or RGB.

    Raises:
        UnreadableError: if the mode or the values have no defined conversion.
    """
    if image.mode in _SIXTEEN_BITS or (image.mode == "I" and image.format in _SIXTEEN_BITS_IN_I):
        return _from_16_bits(image)
    if image.mode == "F":
        return _from_float(image)
    if image.has_transparency_data:
        return _composite_over_white(image)
    if image.mode in _GREY:
        return image.convert("L")
    if image.mode in _COLOUR:
        return image.convert("RGB")
    raise UnreadableError(f"colour mode {image.mode} of a {image.format} file has no defined conversion")


def iter_bands(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes of a few million pixels each that cover the image from top to bottom."""
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)


def _composite_over_white(image: Image.Image) -> Image.Image:
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    paper = Image.new(mode, image.size, "white")
    for box in iter_bands(image):
        clear = image.crop(box).convert("LA" if mode == "L" else "RGBA")
        paper.paste(clear.convert(mode), box, clear.getchannel("A"))
    return paper


def _from_16_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    top, white_is_zero = _tiff_range(image)
    grey = (values.clip(0, top) * 255 + top // 2) // top
    if white_is_zero:
        grey = 255 - grey
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[values == clear] = 255
    return _to_grey(grey)


def _tiff_range(image: Image.Image) -> tuple[int, bool]:
    """Return the largest possible value and whether it is black. A TIFF may have 12 bits or be inverted."""
    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    return (1 << bits) - 1, tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def _from_float(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise UnreadableError("float values that are not finite")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        raise UnreadableError(f"expected float values in [0, 1]; they go from {low:g} to {high:g}")
    _, white_is_zero = _tiff_range(image)
    return _to_grey((1 - values if white_is_zero else values) * 255 + 0.5)


def _to_grey(values: NDArray[Any]) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8))
