"""Decoding one image: from a file to 8-bit grey or RGB, upright; or the reason why it is refused."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from noisette.contracts import Example
from noisette.data.colour_modes import UnreadableError, to_l_or_rgb
from noisette.data.damage import Jpeg, check_file, check_palette, palette_size

__all__ = ["FORMATS", "MAX_BYTES", "MAX_PIXELS", "ReadLimitedBytes", "decode_image", "read_image", "to_printable"]

_MAX_READS = 10_000
_BYTES_PER_READ = 100


class ReadLimitedBytes(BytesIO):
    """A file in memory that refuses to be read in a great many small pieces.

    Each read beyond the first 10,000 must bring 100 bytes on average: files that keep Pillow busy for minutes with
    a comment of 200 MB or a million empty chunks are refused in the first moment.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._reads = _MAX_READS + len(content) // _BYTES_PER_READ

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            UnreadableError: after too many reads.
        """
        self._reads -= 1
        if self._reads < 0:
            raise UnreadableError("too many small pieces: expected an image, not a long header")
        return super().read(size)

    def lift_limit(self) -> None:
        """Allow any number of reads from here on: the header is read, and pixels may come one by one."""
        self._reads = 1 << 62


_JPEG = b"\xff\xd8\xff"

FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")
"""File formats that are read, told by content, not by name; none runs another program (as EPS would)."""

MAX_PIXELS = 89_478_485
"""More pixels than this are taken for a decompression bomb: where Pillow only begins to warn."""

MAX_BYTES = 8 * MAX_PIXELS
"""Larger files are not read: four channels of 16 bits for the largest image."""


def read_image(path: Path) -> Example:
    """Read one file as an example without a label; `rejected` says why there is no image in it."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError("no regular file")
        if status.st_size > MAX_BYTES:
            raise UnreadableError(f"{status.st_size} bytes are more than {MAX_BYTES}")
        # Given a path, Pillow maps some TIFFs into memory, and scrambles those that are stored lying on their side.
        with path.open("rb") as file:
            content = file.read(status.st_size + 1)
        if len(content) > status.st_size:  # of a file that grows, or that the kernel makes up while it is read
            raise UnreadableError("longer than the system says")
        return Example(_decode(content), source=to_printable(path))
    except Exception as error:  # decoders of damaged files raise nearly anything
        return Example(None, source=to_printable(path), rejected=_rejection_reason(error))


def decode_image(content: bytes, source: str) -> Example:
    """Read the content of a file, one inside an archive or a database, as `read_image` reads a file."""
    try:
        return Example(_decode(content), source=to_printable(source))
    except Exception as error:
        return Example(None, source=to_printable(source), rejected=_rejection_reason(error))


def to_printable(path: Path | str) -> str:
    """Return a path as one line of text that moves no cursor, whatever bytes are in it."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


def _decode(content: bytes) -> Image.Image:
    jpeg = Jpeg(content) if content.startswith(_JPEG) else None
    header = ReadLimitedBytes(content)
    with _strict_pillow(), Image.open(jpeg.stream if jpeg else header, formats=_known_formats()) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise UnreadableError(f"{width}x{height} are more than {MAX_PIXELS} pixels: a decompression bomb?")
        check_file(image, content)
        if jpeg:
            jpeg.check_work(width, height)
        colours = palette_size(image)
        header.lift_limit()
        image.load()
        if jpeg:
            jpeg.check_end(image)
        check_palette(image, colours)
        ImageOps.exif_transpose(image, in_place=True)
        read = to_l_or_rgb(image)
        read.format = image.format
        return read


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]  # Pillow may be built without some


@contextmanager
def _strict_pillow() -> Iterator[None]:
    """Let no global setting of Pillow turn damage into grey pixels, and reject what it warns of."""
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", UserWarning)
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _rejection_reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"no image in a format that is read ({', '.join(FORMATS)})"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    first = to_printable((text.splitlines() or [""])[0])
    return first if isinstance(error, OSError | UnreadableError) and first else f"{type(error).__name__}: {first}"
