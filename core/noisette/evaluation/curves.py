"""The picture of a model's curves, such as its loss by step: a panel each, with a band of one standard error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from noisette.contracts import Curve

__all__ = ["draw_curves"]

_COLOUR = "#0072B2"


def draw_curves(curves: Mapping[str, Curve], path: Path) -> None:
    """Draw curves side by side as a PNG file; a name's `_by_` says what stands on the x-axis."""
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
