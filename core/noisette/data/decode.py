"""Decoding of an image file to upright 8-bit grey or RGB, or to the reason why it is rejected."""

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
    """An in-memory file that limits the number of small reads.

    After the first 10,000 reads, each read must return 100 bytes on average. This rejects early the files that
    would keep Pillow busy for minutes, such as those with a comment of 200 MB or a million empty chunks.
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
        """Remove the limit, once the header is read: pixel data may be read in small pieces."""
        self._reads = 1 << 62


_JPEG = b"\xff\xd8\xff"

FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")
"""Supported formats, detected from the content, not the file name. None runs an external program, as EPS does."""

MAX_PIXELS = 89_478_485
"""Larger images are rejected as decompression bombs. Pillow only warns at this size."""

MAX_BYTES = 8 * MAX_PIXELS
"""Larger files are not read. It is the size of the largest image with four 16-bit channels."""


def read_image(path: Path) -> Example:
    """Read a file as an example without a label; `rejected` gives the reason if it has no usable image."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError("no regular file")
        if status.st_size > MAX_BYTES:
            raise UnreadableError(f"{status.st_size} bytes are more than {MAX_BYTES}")
        # Given a path, Pillow memory-maps some TIFFs and scrambles those that are stored rotated.
        with path.open("rb") as file:
            content = file.read(status.st_size + 1)
        if len(content) > status.st_size:  # the file grows, or the kernel generates it on the fly (/proc)
            raise UnreadableError("longer than the system says")
        return Example(_decode(content), source=to_printable(path))
    except Exception as error:  # decoders can raise almost anything on damaged files
        return Example(None, source=to_printable(path), rejected=_rejection_reason(error))


def decode_image(content: bytes, source: str) -> Example:
    """Decode the content of a file, such as an archive member or a database record; see `read_image`."""
    try:
        return Example(_decode(content), source=to_printable(source))
    except Exception as error:
        return Example(None, source=to_printable(source), rejected=_rejection_reason(error))


def to_printable(path: Path | str) -> str:
    """Return a path as a single printable line; other characters and invalid bytes are escaped."""
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
    return [name for name in FORMATS if name in Image.OPEN]  # Pillow may be built without some formats


@contextmanager
def _strict_pillow() -> Iterator[None]:
    """Make Pillow fail on truncated files, whatever its global settings, and turn its warnings into errors."""
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
