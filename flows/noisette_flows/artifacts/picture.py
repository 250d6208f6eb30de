"""A picture as text: Prefect's server keeps no files, and a browser opens none of this machine."""

from __future__ import annotations

import base64
import io
from pathlib import Path

__all__ = ["embedded"]

_WIDTH = 640  # small pictures are enlarged to about this, each pixel a square
_MOST = 400_000  # bytes; a larger picture is named only


def embedded(path: Path, title: str) -> str:
    """Return a PNG file as an image in markdown, or its path, if it cannot be read or is large."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            factor = max(1, _WIDTH // image.width)
            shown = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    except OSError:
        return f"`{path}`"
    written = io.BytesIO()
    shown.save(written, format="PNG", optimize=True)
    if written.tell() > _MOST:
        return f"`{path}`"
    return f"![{title}](data:image/png;base64,{base64.b64encode(written.getvalue()).decode()})"
