"""Moving images: GIF and WebP files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from noisette.errors import DataError
from noisette.storage import disk_errors

__all__ = ["ANIMATION_WIDTH", "evenly_spaced", "save_animation"]

ANIMATION_WIDTH = 720
"""About how wide frames are, in pixels: noise does not compress, and a page should not wait for it."""

_FORMATS = {".gif": "GIF", ".webp": "WEBP"}


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """Return at most `wanted` of the numbers 0 ... count - 1, evenly spread, the first and the last among them."""
    if wanted >= count:
        return list(range(count))
    last = count - 1
    return sorted({round(i * last / max(wanted - 1, 1)) for i in range(wanted)} | {last})[-wanted:]


def save_animation(
    frames: Sequence[Image.Image], path: Path | str, *, milliseconds: int = 80, hold: int = 2000
) -> Path:
    """Write frames as an animation that repeats for ever, whole or not at all; return its path.

    Args:
        frames: images of one size and mode, at least one.
        path: its suffix, .gif or .webp, says the format; WebP is written without loss.
        milliseconds: how long a frame is shown.
        hold: how long the last one is.

    Raises:
        DataError: if the suffix is another.
        StorageError: if it cannot be written.
    """
    path = Path(path)
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise DataError(f"{path}: expected a name that ends in {' or '.join(_FORMATS)}")
    unfinished = path.with_name(f".{path.name}.unfinished")
    durations = [milliseconds] * (len(frames) - 1) + [hold]
    first, *rest = frames
    options = {"lossless": True, "method": 4} if form == "WEBP" else {"optimize": True}
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            first.save(
                unfinished, format=form, save_all=True, append_images=rest, duration=durations, loop=0, **options
            )
            return unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
