"""Damage in files that Pillow reads in silence: what their format says of them does not hold.

PNG alone has checksums. Of the others only the structure can be looked at: a wrong byte between right ones is a
pixel.
"""

from __future__ import annotations

import re
from io import BytesIO
from math import ceil
from struct import unpack_from
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from PIL import Image

from noisette.data.colour_modes import UnreadableError, iter_bands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CHECKSUMS", "Jpeg", "check_file", "check_palette", "palette_size"]

_MARKER = re.compile(rb"\xff{1,64}[\x01-\xcf\xd8-\xfe]")
"""Fill bytes and a marker; FF 00 is a byte of data, and FF D0 to FF D7 are restarts within a scan."""

_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")

_SEQUENTIAL = {0xC0, 0xC1}
_HUFFMAN = {*_SEQUENTIAL, 0xC2}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_START, _END, _RESTARTS = 0xDA, 0xD9, 0xDD

_PADDING = b"\xff\x00" * 7
"""What libjpeg may read ahead (57 bits); ones, since no code has ones alone."""

_NOISE = b"\xaa" * 16

_MAX_SEGMENTS = 20_000

_MAX_SCANNED_PIXELS = 900_000_000
"""Most pixels times scans; each scan goes over the whole image, and 99 bytes are enough for an empty one."""

_MIN_SCAN_PIXELS = 1 << 16
"""A scan takes the time of so many pixels however small the image."""


class Jpeg:
    """A JPEG file that is about to be decoded.

    Attributes:
        stream: what Pillow is to read.

    Raises:
        UnreadableError: if the markers do not follow each other up to the end marker.
    """

    def __init__(self, content: bytes) -> None:
        self._content, self._frame, self._scans = content, 0, list[tuple[int, int]]()
        restarts, expected, sent = False, 0, set[tuple[int, int]]()
        for kind, start, end in _iter_segments(content):
            if kind in _FRAMES:
                self._frame, expected = kind, 64 * content[start + 7]
            elif kind == _START:
                sent |= _completed_coefficients(content, start)
                self._scans.append((start + _segment_length(content, start), end))
            restarts |= kind == _RESTARTS
        if self._frame in _HUFFMAN and len(sent) != expected:
            raise UnreadableError("damaged or truncated: scans of the JPEG data are missing")
        single = self._frame in _SEQUENTIAL and len(self._scans) == 1
        self.stream = _ScanStream(content[: self._scans[0][1]]) if single else BytesIO(content)
        self._needs_noise = self._frame in _HUFFMAN and (restarts or not single)

    def check_work(self, width: int, height: int) -> None:
        """Refuse an image that would take minutes to decode.

        Raises:
            UnreadableError: if it has more scans than its size allows.
        """
        if len(self._scans) * max(width * height, _MIN_SCAN_PIXELS) > _MAX_SCANNED_PIXELS:
            raise UnreadableError(f"{len(self._scans)} scans of {width}x{height} pixels: a decompression bomb?")

    def check_end(self, image: Image.Image) -> None:
        """Refuse the decoded image if its data did not end where they should.

        Raises:
            UnreadableError: if there were too few or too many.
        """
        if isinstance(self.stream, _ScanStream) and not self.stream.is_read:
            raise UnreadableError("damaged: the JPEG data go on behind the end of the image")
        if self._needs_noise and not self._is_unchanged_by_noise(image):
            raise UnreadableError("damaged: the JPEG data end before the end of the image")

    def _is_unchanged_by_noise(self, image: Image.Image) -> bool:
        content, done, parts = self._content, 0, []
        for start, end in self._scans:
            data = _RESTART.sub(lambda restart: _NOISE + restart[0], content[start:end])
            parts += [content[done:start], data, _NOISE]
            done = end
        with Image.open(BytesIO(b"".join([*parts, content[done:]])), formats=("JPEG",)) as other:
            other.load()
            return all(image.crop(box).tobytes() == other.crop(box).tobytes() for box in iter_bands(image))


class _ScanStream(BytesIO):
    """A file of one scan without its end marker, whose last byte and padding are only given when asked for."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content + _PADDING)
        self._last = len(content) - 1

    @property
    def is_read(self) -> bool:
        """Whether the last byte was asked for."""
        return self.tell() > self._last

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, up to the last one or from there on."""
        before = self._last - self.tell()
        if before > 0 and (size is None or not 0 <= size <= before):
            size = before
        return super().read(size)


def _iter_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the kind, begin and end of each segment, a scan with its data."""
    position = 2
    for _ in range(_MAX_SEGMENTS):
        marker = _MARKER.match(content, position)
        if marker is None:
            raise UnreadableError("damaged or truncated: the JPEG data have no end marker")
        kind, start = content[marker.end() - 1], marker.end()
        if kind == _END:
            return
        position = start + _segment_length(content, start)
        if kind == _START:
            following = _MARKER.search(content, position)
            position = following.start() if following else len(content)
        yield kind, start, position
    raise UnreadableError(f"more than {_MAX_SEGMENTS} segments")


def _segment_length(content: bytes, start: int) -> int:
    return int.from_bytes(content[start : start + 2], "big")


def _completed_coefficients(content: bytes, start: int) -> set[tuple[int, int]]:
    """Return the coefficients that a scan brings to their last bit, as pairs of component and place."""
    count = content[start + 2]
    components = content[start + 3 : start + 3 + 2 * count : 2]
    first, last, bits = content[start + 3 + 2 * count : start + 6 + 2 * count]
    return (
        set() if bits & 15 else {(component, place) for component in components for place in range(first, last + 1)}
    )


CHECKSUMS = ("PNG",)
"""Formats in which any damage is found."""

_MAX_CHUNKS, _BYTES_PER_CHUNK = 10_000, 100

_RGB, _DEEP = 2, 16


def check_file(image: Image.Image, content: bytes) -> None:
    """Look at an opened file, before its pixels are decoded.

    Raises:
        UnreadableError: with what does not hold.
    """
    check = _CHECKS.get(image.format or "")
    if check is not None:
        check(image, content)


def palette_size(image: Image.Image) -> int:
    """Return how many colours the palette of an opened file has; asked before it is decoded, which fills it up."""
    if image.palette is None:
        return 0
    mode, colours = image.palette.getdata()
    return len(colours) // len(mode.partition(";")[0])


def check_palette(image: Image.Image, colours: int) -> None:
    """Look at a decoded image whose palette has so many colours.

    Raises:
        UnreadableError: if a pixel has none of them; Pillow makes it black.
    """
    if image.mode == "P" and (highest := int(np.asarray(image).max())) >= colours:
        raise UnreadableError(f"damaged: a pixel of colour {highest}; the palette has {colours}")


def _check_png(image: Image.Image, content: bytes) -> None:
    names, position, view = list[bytes](), 8, memoryview(content)
    while not names or names[-1] != b"IEND":
        length, name = unpack_from(">I4s", content, position) if position + 8 <= len(content) else (0, b"")
        end = position + 8 + length
        if end + 4 > len(content):
            raise UnreadableError("truncated: the PNG file has no end")
        if crc32(view[position + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            raise UnreadableError(f"damaged: the checksum of the PNG chunk {name!r} is wrong")
        names.append(name)
        position = end + 4
        if len(names) > _MAX_CHUNKS + position // _BYTES_PER_CHUNK:
            raise UnreadableError(f"more than {_MAX_CHUNKS} small PNG chunks")
    if names.count(b"IHDR") != 1:
        raise UnreadableError("damaged: expected one header in a PNG file; there are two")
    _check_transparent_colour(image, bits=content[24], colours=content[25])


def _check_transparent_colour(image: Image.Image, bits: int, colours: int) -> None:
    """Bring the transparent grey of few bits to 8, as Pillow brings the pixels; it is stored as they are."""
    clear = image.info.get("transparency")
    if clear is not None and colours == _RGB and bits == _DEEP:
        raise UnreadableError("a transparent colour in a PNG of 16 bits a channel has no defined conversion")
    if isinstance(clear, int) and image.mode == "L":
        image.info["transparency"] = (clear & ((1 << bits) - 1)) * 255 // ((1 << bits) - 1)


_SAMPLE_FORMAT, _SIGNED = 339, 2
_STRIPS, _TILES, _ROWS, _TILE_SIDES = 273, 324, 278, (323, 322)
_PLANES, _SAMPLES, _SEPARATE = 284, 277, 2


def _check_tiff(image: Image.Image, content: bytes) -> None:
    tags: Any = getattr(image, "tag_v2", {})
    if _SIGNED in np.atleast_1d(tags.get(_SAMPLE_FORMAT, 1)):
        raise UnreadableError("signed integers have no defined conversion: nobody knows what is white")
    offsets = np.atleast_1d(tags.get(_STRIPS, tags.get(_TILES, ())))
    expected = _count_tiff_parts(tags)
    if len(offsets) < expected or (offsets == 0).any():
        there = int((offsets != 0).sum())
        raise UnreadableError(f"damaged: expected {expected} parts of a TIFF image; there are {there}")


def _count_tiff_parts(tags: Any) -> int:
    """Return in how many strips or tiles the pixels of a TIFF are."""
    width, height = tags[256], tags[257]
    planes = tags.get(_SAMPLES, 1) if tags.get(_PLANES) == _SEPARATE else 1
    if _STRIPS in tags:
        return int(planes * ceil(height / tags.get(_ROWS, height)))
    rows, columns = (tags[side] for side in _TILE_SIDES)
    return int(planes * ceil(height / rows) * ceil(width / columns))


def _check_ppm(image: Image.Image, content: bytes) -> None:
    """Look for values above the greatest one that the header says: Pillow cuts them."""
    decoder, _, offset, arguments = image.tile[0]  # type: ignore[attr-defined]
    if decoder != "ppm":
        return
    greatest = arguments[1]
    dtype = np.dtype(np.uint8 if greatest < 256 else ">u2")
    count = min(image.width * image.height * len(image.getbands()), (len(content) - offset) // dtype.itemsize)
    values = np.frombuffer(content, dtype, count, offset)
    if values.size and values.max() > greatest:
        raise UnreadableError(f"damaged: expected values up to {greatest}; the greatest is {values.max()}")


_CHECKS: dict[str, Callable[[Image.Image, bytes], None]] = {
    "PNG": _check_png,
    "TIFF": _check_tiff,
    "PPM": _check_ppm,
}
