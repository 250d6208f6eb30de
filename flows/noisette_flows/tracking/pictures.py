"""Pictures for MLflow's pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from noisette import Samples

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["open_picture", "sheet"]


def open_picture(path: Path) -> Image:
    """Read a PNG file whole."""
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        return image.copy()


def sheet(samples: Samples) -> Image:
    """Return the first pictures of some samples as a sheet twice as wide as high, the shape of MLflow's cells."""
    from noisette.pictures import grid

    return grid(samples.pictures[:32], columns=8, width=512)
