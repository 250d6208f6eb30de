"""Making a picture uniform: the size and the channels that the preparation says.

Scaling is bicubic and anti-aliased (Pillow widens the filter by the factor); a picture that has the size already
is not touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.config import Preparation

__all__ = ["uniform"]

_REDUCING_GAP = 3.0
"""Pictures more than six times too large are first averaged by a whole factor, which looks the same, faster."""


def uniform(image: Image.Image, preparation: Preparation) -> NDArray[np.uint8]:
    """Return a picture of mode L or RGB as uint8 (C, H, W)."""
    if preparation.channels is not None:
        image = image.convert("L" if preparation.channels == 1 else "RGB")
    if preparation.size is not None:
        fit = {"crop": _crop, "resize": _stretch, "pad": _pad}[preparation.fit]
        image = fit(image, preparation.size)
    values = np.asarray(image)
    return values[None] if values.ndim == 2 else np.ascontiguousarray(values.transpose(2, 0, 1))


def _crop(image: Image.Image, size: int) -> Image.Image:
    """Scale the centre square."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return _scaled(image.crop((left, top, left + side, top + side)), (size, size))


def _stretch(image: Image.Image, size: int) -> Image.Image:
    return _scaled(image, (size, size))


def _pad(image: Image.Image, size: int) -> Image.Image:
    """Put the picture in the middle of black; it is made smaller where it must be, and never larger."""
    longest = max(image.size)
    if longest > size:
        width, height = (max(1, round(side * size / longest)) for side in image.size)
        image = _scaled(image, (width, height))
    canvas = Image.new(image.mode, (size, size))
    canvas.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return canvas


def _scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP)
