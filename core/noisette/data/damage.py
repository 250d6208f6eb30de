"""Detection of damaged files that Pillow decodes without an error.

Only PNG has checksums. For other formats only the structure is checked: a corrupted byte of pixel data cannot be
detected.
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
"""Fill bytes and a marker. FF 00 is a data byte; FF D0 to FF D7 are restart markers within a scan."""

_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")

_SEQUENTIAL = {0xC0, 0xC1}
_HUFFMAN = {*_SEQUENTIAL, 0xC2}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_START, _END, _RESTARTS = 0xDA, 0xD9, 0xDD

_PADDING = b"\xff\x00" * 7
"""Covers the read-ahead of libjpeg (57 bits). All ones, because no Huffman code consists only of ones."""

_NOISE = b"\xaa" * 16

_MAX_SEGMENTS = 20_000

_MAX_SCANNED_PIXELS = 900_000_000
"""Limit on pixels times scans. Each scan covers the whole image, and an empty scan takes only 99 bytes."""

_MIN_SCAN_PIXELS = 1 << 16
"""Minimum cost of a scan, in pixels, for small images."""


class Jpeg:
    """Checks on a JPEG file, before and after Pillow decodes it.

    Attributes:
        stream: the stream that Pillow reads.

    Raises:
        UnreadableError: if the chain of markers is broken before the end marker, or scans are missing.
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
        """Reject an image that would take minutes to decode.

        Raises:
            UnreadableError: if the image has too many scans for its size.
        """
        if len(self._scans) * max(width * height, _MIN_SCAN_PIXELS) > _MAX_SCANNED_PIXELS:
            raise UnreadableError(f"{len(self._scans)} scans of {width}x{height} pixels: a decompression bomb?")

    def check_end(self, image: Image.Image) -> None:
        """Check that the compressed data ends where the decoded image ends.

        Raises:
            UnreadableError: if there is too little or too much data.
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
    """A single-scan file without its end marker. The last byte and the padding are returned in a separate read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content + _PADDING)
        self._last = len(content) - 1

    @property
    def is_read(self) -> bool:
        """Whether the last byte has been read."""
        return self.tell() > self._last

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes. A read that starts before the last byte stops before it."""
        before = self._last - self.tell()
        if before > 0 and (size is None or not 0 <= size <= before):
            size = before
        return super().read(size)


def _iter_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the kind, start and end of each segment; a scan includes its data."""
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
    """Return the coefficients that a scan completes, as (component, index) pairs."""
    count = content[start + 2]
    components = content[start + 3 : start + 3 + 2 * count : 2]
    first, last, bits = content[start + 3 + 2 * count : start + 6 + 2 * count]
    return (
        set() if bits & 15 else {(component, place) for component in components for place in range(first, last + 1)}
    )


CHECKSUMS = ("PNG",)
"""Formats with checksums, in which all damage is detected."""

_MAX_CHUNKS, _BYTES_PER_CHUNK = 10_000, 100

_RGB, _DEEP = 2, 16


def check_file(image: Image.Image, content: bytes) -> None:
    """Check the structure of an opened file before its pixels are decoded.

    Raises:
        UnreadableError: if the file is damaged or has no defined conversion.
    """
    check = _CHECKS.get(image.format or "")
    if check is not None:
        check(image, content)


def palette_size(image: Image.Image) -> int:
    """Return the number of palette colours. Call it before decoding, because decoding pads the palette."""
    if image.palette is None:
        return 0
    mode, colours = image.palette.getdata()
    return len(colours) // len(mode.partition(";")[0])


def check_palette(image: Image.Image, colours: int) -> None:
    """Check that all pixels of a decoded image index one of the `colours` palette entries.

    Raises:
        UnreadableError: if an index is out of range, which Pillow renders as black.
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
    """Scale a transparent grey value of fewer than 8 bits to 8 bits, as Pillow scales the pixels."""
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
    """Return the number of strips or tiles of a TIFF image."""
    width, height = tags[256], tags[257]
    planes = tags.get(_SAMPLES, 1) if tags.get(_PLANES) == _SEPARATE else 1
    if _STRIPS in tags:
        return int(planes * ceil(height / tags.get(_ROWS, height)))
    rows, columns = (tags[side] for side in _TILE_SIDES)
    return int(planes * ceil(height / rows) * ceil(width / columns))


def _check_ppm(image: Image.Image, content: bytes) -> None:
    """Check for values above the maximum in the header, which Pillow clips."""
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
