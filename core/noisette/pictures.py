"""Pictures of pictures: grids as PNG files."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from noisette.storage import writing

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["columns_of", "grid", "save_png"]


def columns_of(classes: int) -> int:
    """Return how many pictures a row of a grid holds: one a class where classes take turns, or eight."""
    return classes if 0 < classes <= 20 else 8


def grid(pictures: NDArray[np.uint8], columns: int = 8, width: int = 512) -> Image.Image:
    """Lay pictures out in rows, a pixel apart, each enlarged by a whole factor so that the grid is about `width`.

    Args:
        pictures: uint8 (N, C, H, W) with one or three channels, N at least 1.
        columns: pictures a row.
        width: the least width of the grid in pixels, where pictures are small.
    """
    count, channels, high, wide = pictures.shape
    columns = min(columns, count)
    rows = ceil(count / columns)
    factor = max(1, ceil((width / columns - 2) / wide))
    tall, broad = high * factor + 2, wide * factor + 2
    canvas = np.full((rows * tall, columns * broad, channels), 128, dtype=np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // columns * tall + 1, index % columns * broad + 1
        large = picture.transpose(1, 2, 0).repeat(factor, axis=0).repeat(factor, axis=1)
        canvas[top : top + high * factor, left : left + wide * factor] = large
    return Image.fromarray(canvas[..., 0] if channels == 1 else canvas)


def save_png(image: Image.Image, path: Path) -> Path:
    """Write a picture as PNG, whole or not at all, as others may be waiting for it; return its path.

    Raises:
        StorageError: if it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            image.save(unfinished, format="PNG", optimize=True)
            return unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
