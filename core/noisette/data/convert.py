"""One picture, from a file to 8-bit grey or RGB, upright; or the reason why there is none.

Nothing is misread in silence: a file either has a defined conversion or is rejected. Of animated and
many-paged files the first frame is taken.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from noisette.contracts import Example
from noisette.data.modes import UnreadableError, plain

__all__ = ["FORMATS", "MAX_PIXELS", "decode_picture", "printable", "read_picture"]

FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")
"""File formats that are read, told by content, not by name; none runs another program (as EPS would)."""

MAX_PIXELS = 89_478_485
"""More pixels than this are taken for a decompression bomb: where Pillow only begins to warn."""


def read_picture(path: Path) -> Example:
    """Read one file as an example without a label; `rejected` says why there is no picture in it."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableError("no regular file")
        # Given a path, Pillow maps some TIFFs into memory, and scrambles those that are stored lying on their side.
        with path.open("rb") as file:
            return Example(_read(file), source=printable(path))
    except Exception as error:  # decoders of damaged files raise nearly anything
        return Example(None, source=printable(path), rejected=_reason(error))


def decode_picture(content: bytes, source: str) -> Example:
    """Read the content of a file, one inside an archive or a database, as `read_picture` reads a file."""
    try:
        return Example(_read(BytesIO(content)), source=printable(source))
    except Exception as error:
        return Example(None, source=printable(source), rejected=_reason(error))


def printable(path: Path | str) -> str:
    """Return a path as text that can be printed and stored, whatever bytes are in it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _read(file: IO[bytes]) -> Image.Image:
    with _strictly(), Image.open(file, formats=_known_formats()) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise UnreadableError(f"{width}x{height} are more than {MAX_PIXELS} pixels: a decompression bomb?")
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return plain(image)


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]  # Pillow may be built without some


@contextmanager
def _strictly() -> Iterator[None]:
    """Let no global setting of Pillow, whoever made it, turn damage into grey pixels."""
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"no picture in a format that is read ({', '.join(FORMATS)})"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    first = (text.splitlines() or [""])[0]
    return first if isinstance(error, OSError | UnreadableError) and first else f"{type(error).__name__}: {first}"
