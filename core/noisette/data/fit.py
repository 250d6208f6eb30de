"""Making an image uniform: the size and the channels that the preparation says, or those of a trained model.

Scaling is bicubic and anti-aliased (Pillow widens the filter by the factor); a picture that has the size already
is not touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.config import Preparation

__all__ = ["Fit", "fit_to", "to_array", "uniform"]

Fit = Literal["crop", "resize", "pad"]

_REDUCING_GAP = 3.0
"""Pictures more than six times too large are first averaged by a whole factor, which looks the same, faster."""


def uniform(image: Image.Image, preparation: Preparation) -> NDArray[np.uint8]:
    """Return a picture of mode L or RGB as uint8 (C, H, W)."""
    if preparation.channels is not None:
        image = image.convert("L" if preparation.channels == 1 else "RGB")
    if preparation.size is not None:
        image = fit_to(image, (preparation.size, preparation.size), preparation.fit)
    return to_array(image)


def fit_to(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    """Return an image of a width and height.

    Args:
        image: of mode L or RGB.
        size: width and height.
        fit: crop what is beyond the proportions, resize without regard to them, or pad with black; padding makes an
            image smaller where it must be, and never larger.
    """
    return {"crop": _crop, "resize": _scaled, "pad": _pad}[fit](image, size)


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """Return an image of mode L or RGB as uint8 (C, H, W)."""
    values = np.asarray(image)
    return values[None] if values.ndim == 2 else np.ascontiguousarray(values.transpose(2, 0, 1))


def _crop(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scale the largest part from the centre that has the proportions."""
    width = min(image.width, max(1, round(image.height * size[0] / size[1])))
    height = min(image.height, max(1, round(image.width * size[1] / size[0])))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return _scaled(image.crop((left, top, left + width, top + height)), size)


def _pad(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.width > size[0] or image.height > size[1]:
        wide = image.width * size[1] >= image.height * size[0]
        part, whole = (size[0], image.width) if wide else (size[1], image.height)
        width, height = (max(1, round(side * part / whole)) for side in image.size)
        image = _scaled(image, (width, height))
    canvas = Image.new(image.mode, size)
    canvas.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return canvas


def _scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP)
