"""Figures of an evaluation: images with their nearest neighbours in the reference, and curves of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from noisette.formatting import slug
from noisette.images import make_sheet, save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from noisette.contracts import Curve, Neighbours
    from noisette.evaluation.sets import ImageSet

__all__ = ["draw_curves", "draw_neighbours"]


def draw_neighbours(
    found: Mapping[str, list[Neighbours]], sets: Mapping[str, tuple[ImageSet, ImageSet]], directory: Path
) -> dict[str, str]:
    """Write a PNG file for every set with neighbours: one row per image, the image first.

    Args:
        found: neighbours by label of the set.
        sets: the set and its reference by label; labels that are missing here are skipped.
        directory: folder to write to.

    Returns:
        File names by label.
    """
    file_names: dict[str, str] = {}
    for label, rows in found.items():
        if not rows or label not in sets:
            continue
        name = f"nearest-{slug(label)}.png"
        file_names[label] = f"{len(file_names)}-{name}" if name in file_names.values() else name
        save_png(_render_neighbours(label, rows, *sets[label]), directory / file_names[label])
    return file_names


def _render_neighbours(label: str, rows: list[Neighbours], judged: ImageSet, reference: ImageSet) -> Image.Image:
    columns = min(len(row.nearest) for row in rows)
    shape = _common_shape(judged.images.shape[1:], reference.images.shape[1:])
    images = np.stack(
        [
            np.stack(
                [
                    _image_at(judged, row.image, shape),
                    *(_image_at(reference, at, shape) for at in row.nearest[:columns]),
                ]
            )
            for row in rows
        ]
    )
    lines = [f"{row.image}: {row.distances[0]:.3g}" for row in rows]
    title = f"{label}: the images nearest to {reference.name} (number: distance), and their neighbours there"
    heads = ["image", "nearest", *(f"{place}." for place in range(2, columns + 1))]
    return make_sheet(images, heads, lines, title=title, width=640)


def _common_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Return the smallest shape (C, H, W) that covers both shapes."""
    return a if a == b else tuple(map(max, a, b))


def _image_at(image_set: ImageSet, place: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    image = np.asarray(image_set.images[place : place + 1][0])
    if image.shape == shape:
        return image
    channels, height, width = shape
    pil_image = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
    pil_image = pil_image.convert("L" if channels == 1 else "RGB")
    array = np.asarray(pil_image.resize((width, height), Image.Resampling.BICUBIC))
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


_COLOUR = "#0072B2"


def draw_curves(curves: Mapping[str, Curve], path: Path) -> None:
    """Plot curves side by side in a PNG file. The part of a name after `_by_` is the label of the x-axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * len(curves), 3.6), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for panel, (name, curve) in zip(panels, curves.items(), strict=True):
        _panel(panel, name, curve)
    figure.savefig(path, facecolor="white")


def _panel(panel: Axes, name: str, curve: Curve) -> None:
    what, _, against = name.partition("_by_")
    x = [place for place, _ in curve]
    values = [found.value for _, found in curve]
    errors = [found.stderr or 0.0 for _, found in curve]
    panel.plot(x, values, color=_COLOUR, linewidth=1.4)
    low = [value - error for value, error in zip(values, errors, strict=True)]
    high = [value + error for value, error in zip(values, errors, strict=True)]
    panel.fill_between(x, low, high, color=_COLOUR, alpha=0.25, linewidth=0)
    if values and min(values) > 0 and max(values) > 10 * min(values):
        panel.set_yscale("log")
    panel.set_xlabel(against.replace("_", " "))
    panel.set_title(what.replace("_", " "), fontsize=11)
    panel.grid(visible=True, color="#dddddd", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
