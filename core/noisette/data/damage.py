"""Damage in files that Pillow reads in silence: what their format says of them does not hold.

PNG alone has checksums. Of the others only the structure can be looked at: a wrong byte between right ones is a
pixel.
"""

from __future__ import annotations

from math import ceil
from struct import unpack_from
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from noisette.data.modes import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image

__all__ = ["CHECKSUMS", "check_file", "check_palette", "palette_size"]

CHECKSUMS = ("PNG",)
"""Formats in which any damage is found."""

_CHUNKS, _BYTES_PER_CHUNK = 10_000, 100

_RGB, _DEEP = 2, 16


def check_file(image: Image, content: bytes) -> None:
    """Look at an opened file, before its pixels are decoded.

    Raises:
        UnreadableError: with what does not hold.
    """
    check = _CHECKS.get(image.format or "")
    if check is not None:
        check(image, content)


def palette_size(image: Image) -> int:
    """Return how many colours the palette of an opened file has; asked before it is decoded, which fills it up."""
    if image.palette is None:
        return 0
    mode, colours = image.palette.getdata()
    return len(colours) // len(mode.partition(";")[0])


def check_palette(image: Image, colours: int) -> None:
    """Look at a decoded image whose palette has so many colours.

    Raises:
        UnreadableError: if a pixel has none of them; Pillow makes it black.
    """
    if image.mode == "P" and (highest := int(np.asarray(image).max())) >= colours:
        raise UnreadableError(f"damaged: a pixel of colour {highest}; the palette has {colours}")


def _check_png(image: Image, content: bytes) -> None:
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
        if len(names) > _CHUNKS + position // _BYTES_PER_CHUNK:
            raise UnreadableError(f"more than {_CHUNKS} small PNG chunks")
    if names.count(b"IHDR") != 1:
        raise UnreadableError("damaged: expected one header in a PNG file; there are two")
    _check_transparent_colour(image, bits=content[24], colours=content[25])


def _check_transparent_colour(image: Image, bits: int, colours: int) -> None:
    """Bring the transparent grey of few bits to 8, as Pillow brings the pixels; it is stored as they are."""
    clear = image.info.get("transparency")
    if clear is not None and colours == _RGB and bits == _DEEP:
        raise UnreadableError("a transparent colour in a PNG of 16 bits a channel has no defined conversion")
    if isinstance(clear, int) and image.mode == "L":
        image.info["transparency"] = (clear & ((1 << bits) - 1)) * 255 // ((1 << bits) - 1)


_SAMPLE_FORMAT, _SIGNED = 339, 2
_STRIPS, _TILES, _ROWS, _TILE_SIDES = 273, 324, 278, (323, 322)
_PLANES, _SAMPLES, _SEPARATE = 284, 277, 2


def _check_tiff(image: Image, content: bytes) -> None:
    tags: Any = getattr(image, "tag_v2", {})
    if _SIGNED in np.atleast_1d(tags.get(_SAMPLE_FORMAT, 1)):
        raise UnreadableError("signed integers have no defined conversion: nobody knows what is white")
    offsets = np.atleast_1d(tags.get(_STRIPS, tags.get(_TILES, ())))
    expected = _parts(tags)
    if len(offsets) < expected or (offsets == 0).any():
        there = int((offsets != 0).sum())
        raise UnreadableError(f"damaged: expected {expected} parts of a TIFF image; there are {there}")


def _parts(tags: Any) -> int:
    """Return in how many strips or tiles the pixels of a TIFF are."""
    width, height = tags[256], tags[257]
    planes = tags.get(_SAMPLES, 1) if tags.get(_PLANES) == _SEPARATE else 1
    if _STRIPS in tags:
        return int(planes * ceil(height / tags.get(_ROWS, height)))
    rows, columns = (tags[side] for side in _TILE_SIDES)
    return int(planes * ceil(height / rows) * ceil(width / columns))


def _check_ppm(image: Image, content: bytes) -> None:
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


_CHECKS: dict[str, Callable[[Image, bytes], None]] = {"PNG": _check_png, "TIFF": _check_tiff, "PPM": _check_ppm}
