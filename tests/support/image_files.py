"""Image files, whole and damaged, made byte by byte."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    rows: list[bytes], width: int, bits: int, colours: int, before: bytes = b"", after: bytes = b"", level: int = 6
) -> bytes:
    """Return a PNG of raw rows, with chunks before and after its data."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), bits, colours, 0, 0, 0))
    data = png_chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), level))
    return PNG + header + before + data + after + png_chunk(b"IEND", b"")


def tiff(
    width: int, height: int, strips: list[bytes], *, bits: int = 8, photometric: int = 1, kind: int = 1
) -> bytes:
    """Return a raw grey TIFF; `kind` is its sample format: unsigned, signed or float. An empty strip is missing."""
    data, offsets = b"", []
    for strip in strips:
        offsets.append(8 + len(data) if strip else 0)
        data += strip + b"\0" * (len(strip) % 2)
    tables = 8 + len(data)
    counts = [len(strip) for strip in strips]
    many = len(strips) > 1
    tags = [(256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (277, 3, 1)]
    tags += [(273, 4, tables if many else offsets[0]), (279, 4, tables + 4 * len(strips) if many else counts[0])]
    tags += [(278, 3, -(-height // len(strips))), (339, 3, kind)]
    data += struct.pack(f"<{2 * len(strips)}I", *offsets, *counts) if many else b""
    directory = struct.pack("<H", len(tags))
    for tag, size, value in sorted(tags):
        directory += struct.pack("<HHII", tag, size, len(strips) if tag in (273, 279) else 1, value)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + struct.pack("<I", 0)


def photograph(seed: int, width: int = 64, height: int = 48) -> Image.Image:
    """Return smooth waves with some noise, which compress like a photograph."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (4 + 5 * rng.random()) + k) * np.cos(y / 7) for k in range(3)]
    pixels = 127 + 100 * np.stack(waves, -1) + rng.normal(0, 6, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encode_image(image: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
