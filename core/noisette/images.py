"""Grids and labelled sheets of images, and writing them as PNG, GIF and WebP files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from noisette.errors import DataError
from noisette.storage import atomic_write

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["choose_grid_columns", "make_grid", "make_sheet", "save_animation", "save_png"]


def choose_grid_columns(classes: int) -> int:
    """Return the number of columns of a grid: one for each class, or eight without classes or with many."""
    return classes if 0 < classes <= 20 else 8


def make_grid(images: NDArray[np.uint8], columns: int = 8, width: int = 512) -> Image.Image:
    """Arrange images in a grid, each enlarged by a whole factor so that the grid is about `width` pixels wide.

    Args:
        images: uint8 (N, C, H, W) with one or three channels, N at least 1.
        columns: number of columns.
        width: approximate width of the grid in pixels, if the images are small.
    """
    count, channels, high, wide = images.shape
    columns = min(columns, count)
    rows = ceil(count / columns)
    factor = max(1, ceil((width / columns - 2) / wide))
    tall, broad = high * factor + 2, wide * factor + 2
    canvas = np.full((rows * tall, columns * broad, channels), 128, dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * tall + 1, index % columns * broad + 1
        large = image.transpose(1, 2, 0).repeat(factor, axis=0).repeat(factor, axis=1)
        canvas[top : top + high * factor, left : left + wide * factor] = large
    return Image.fromarray(canvas[..., 0] if channels == 1 else canvas)


def save_png(image: Image.Image, path: Path) -> Path:
    """Write an image as a PNG file, atomically; return its path.

    Raises:
        StorageError: if it cannot be written.
    """
    with atomic_write(path) as temporary:
        image.save(temporary, format="PNG", optimize=True)
    return path


_ANIMATION_OPTIONS = {
    ".gif": {"format": "GIF", "optimize": True},
    ".webp": {"format": "WEBP", "lossless": True, "method": 4},
}


def save_animation(
    frames: Sequence[Image.Image], path: Path | str, *, milliseconds: int = 80, hold: int = 2000
) -> Path:
    """Write frames as an animation that repeats for ever, atomically; return its path.

    Args:
        frames: at least one image, all of one size and mode.
        path: file name; its suffix, .gif or .webp, decides the format. WebP is lossless.
        milliseconds: duration of each frame.
        hold: duration of the last frame, in milliseconds.

    Raises:
        DataError: if the suffix is neither .gif nor .webp.
        StorageError: if it cannot be written.
    """
    path = Path(path)
    options: dict[str, Any] | None = _ANIMATION_OPTIONS.get(path.suffix.lower())
    if options is None:
        raise DataError(f"{path}: expected a name that ends in {' or '.join(_ANIMATION_OPTIONS)}")
    durations = [milliseconds] * (len(frames) - 1) + [hold]
    first, *others = frames
    with atomic_write(path) as temporary:
        first.save(temporary, save_all=True, append_images=others, duration=durations, loop=0, **options)
    return path


_BACKGROUND, _FOREGROUND = 228, 30
_TEXT_HEIGHT = 16
"""Text height in pixels, legible if a sheet of 1000 pixels is shown at three quarters of its size."""
_MIN_TEXT_HEIGHT = 10
_GAP = 4


def make_sheet(
    images: NDArray[np.uint8],
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
    *,
    group: int = 1,
    title: str = "",
    titles: Sequence[str] = (),
    width: int = 1000,
) -> Image.Image:
    """Arrange rows of images, each enlarged by a whole factor so that the sheet is about `width` pixels wide.

    Args:
        images: uint8 (R, K, C, H, W) with one or three channels.
        columns: captions above the columns, or nothing.
        rows: captions to the left of the rows, or nothing.
        group: number of consecutive rows that form a group, followed by a gap.
        title: a line above the images.
        titles: titles of other sheets that have the same width as this one.
        width: approximate width in pixels; images are never reduced, so that large ones need more.
    """
    count, channels, high, wide = images.shape[1:]
    left = max((_width(text) for text in rows), default=0) + _GAP
    factor = max(1, round(((width - left) / count - _GAP) / wide))
    tall, broad = high * factor + _GAP, wide * factor + _GAP
    line = _TEXT_HEIGHT + 2 * _GAP
    top = line * bool(title) + line * bool(columns) or _GAP
    tops = [top + row * tall + row // group * 2 * _GAP * (group > 1) for row in range(len(images))]
    mode = "L" if channels == 1 else "RGB"
    text_width = max(map(_width, (title, *titles))) + _GAP
    size = (max(left + count * broad, text_width), tops[-1] + tall)
    canvas = Image.new(mode, size, (_BACKGROUND,) * len(mode))
    for y, row_of_images in zip(tops, images, strict=True):
        for column, image in enumerate(row_of_images):
            canvas.paste(_upscale(image, factor), (left + column * broad, y))
    draw = ImageDraw.Draw(canvas)
    _write_text(draw, (_GAP, 0), title, size[0])
    for column, text in enumerate(columns):
        _write_text(draw, (left + column * broad, line * bool(title)), text, broad - _GAP, centred=True)
    for y, text in zip(tops, rows, strict=False):
        _write_text(draw, (_GAP, y + (tall - _TEXT_HEIGHT) // 2 - _GAP), text, left)
    return canvas


def _upscale(image: NDArray[np.uint8], factor: int) -> Image.Image:
    large = image.transpose(1, 2, 0).repeat(factor, axis=0).repeat(factor, axis=1)
    return Image.fromarray(large[..., 0] if len(image) == 1 else large)


def _write_text(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, max_width: int, *, centred: bool = False
) -> None:
    """Write a line in a font that fits `max_width`, or shortened if the smallest font does not."""
    sizes = (size for size in range(_TEXT_HEIGHT, _MIN_TEXT_HEIGHT, -1) if _font(size).getlength(text) <= max_width)
    font = _font(next(sizes, _MIN_TEXT_HEIGHT))
    while len(text) > 2 and font.getlength(text) > max_width:
        text = f"{text[:-3]}.."
    x = place[0] + (round((max_width - font.getlength(text)) / 2) if centred else 0)
    draw.text((x, place[1] + _GAP), text, fill=(_FOREGROUND,) * len(draw.mode), font=font)


def _width(text: str) -> int:
    return round(_font(_TEXT_HEIGHT).getlength(text)) + _GAP


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
