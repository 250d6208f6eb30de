"""Pictures for MLflow's pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["open_picture"]


def open_picture(path: Path) -> Image:
    """Read a PNG file whole."""
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        return image.copy()
