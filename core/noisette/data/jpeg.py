"""Damage in JPEG files that libjpeg only warns of, and Pillow drops the warnings.

Where a scan ends too soon, libjpeg fills the rest with grey; where it has data left over, it skips them. Much
damage ends so, since a wrong bit shifts the codes after it. Two ways show it without the warnings:

- An image of one scan is given to the decoder without its end marker. A decoder that asks for more than a few bytes
  of padding has not got all of the image; one that is done before it has seen the last byte had data left over.
- An image of several scans or with restart markers is decoded once more with noise behind each scan and before each
  restart, which a decoder that is done there skips. If the pixels differ, it was not done.

Neither sees a wrong value that keeps the number of codes, as JPEG has no checksums, or a progressive scan that was
cut exactly at a restart marker.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from noisette.data.modes import UnreadableError, bands

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Jpeg"]

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

_SEGMENTS = 20_000

_WORK = 900_000_000
"""Most pixels times scans; each scan goes over the whole image, and 99 bytes are enough for an empty one."""

_SMALLEST = 1 << 16
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
        for kind, start, end in _segments(content):
            if kind in _FRAMES:
                self._frame, expected = kind, 64 * content[start + 7]
            elif kind == _START:
                sent |= _sent(content, start)
                self._scans.append((start + _length(content, start), end))
            restarts |= kind == _RESTARTS
        if self._frame in _HUFFMAN and len(sent) != expected:
            raise UnreadableError("damaged or truncated: scans of the JPEG data are missing")
        single = self._frame in _SEQUENTIAL and len(self._scans) == 1
        self.stream = _HeldBack(content[: self._scans[0][1]]) if single else BytesIO(content)
        self._needs_noise = self._frame in _HUFFMAN and (restarts or not single)

    def check_work(self, width: int, height: int) -> None:
        """Refuse an image that would take minutes to decode.

        Raises:
            UnreadableError: if it has more scans than its size allows.
        """
        if len(self._scans) * max(width * height, _SMALLEST) > _WORK:
            raise UnreadableError(f"{len(self._scans)} scans of {width}x{height} pixels: a decompression bomb?")

    def check_end(self, image: Image.Image) -> None:
        """Refuse the decoded image if its data did not end where they should.

        Raises:
            UnreadableError: if there were too few or too many.
        """
        if isinstance(self.stream, _HeldBack) and not self.stream.is_read:
            raise UnreadableError("damaged: the JPEG data go on behind the end of the image")
        if self._needs_noise and not self._is_unmoved_by_noise(image):
            raise UnreadableError("damaged: the JPEG data end before the end of the image")

    def _is_unmoved_by_noise(self, image: Image.Image) -> bool:
        content, done, parts = self._content, 0, []
        for start, end in self._scans:
            data = _RESTART.sub(lambda restart: _NOISE + restart[0], content[start:end])
            parts += [content[done:start], data, _NOISE]
            done = end
        with Image.open(BytesIO(b"".join([*parts, content[done:]])), formats=("JPEG",)) as other:
            other.load()
            return all(image.crop(box).tobytes() == other.crop(box).tobytes() for box in bands(image))


class _HeldBack(BytesIO):
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


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the kind, begin and end of each segment, a scan with its data."""
    position = 2
    for _ in range(_SEGMENTS):
        marker = _MARKER.match(content, position)
        if marker is None:
            raise UnreadableError("damaged or truncated: the JPEG data have no end marker")
        kind, start = content[marker.end() - 1], marker.end()
        if kind == _END:
            return
        position = start + _length(content, start)
        if kind == _START:
            following = _MARKER.search(content, position)
            position = following.start() if following else len(content)
        yield kind, start, position
    raise UnreadableError(f"more than {_SEGMENTS} segments")


def _length(content: bytes, start: int) -> int:
    return int.from_bytes(content[start : start + 2], "big")


def _sent(content: bytes, start: int) -> set[tuple[int, int]]:
    """Return the coefficients that a scan brings to their last bit, as pairs of component and place."""
    count = content[start + 2]
    components = content[start + 3 : start + 3 + 2 * count : 2]
    first, last, bits = content[start + 3 + 2 * count : start + 6 + 2 * count]
    return (
        set() if bits & 15 else {(component, place) for component in components for place in range(first, last + 1)}
    )
