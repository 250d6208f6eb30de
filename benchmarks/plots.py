"""The images of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

__all__ = ["draw_plots"]

_AXES = {"batch": ("batch", "images a step"), "size": ("size", "pixels a side"), "width": ("width", "channels")}


def draw_plots(run: dict[str, Any], folder: Path) -> None:
    """Draw what was measured of growth and losses."""
    measured = run["measurements"]
    if "growth" in measured:
        _growth(measured["growth"]["result"]).savefig(folder / "benchmark-growth.png", dpi=110)
    if "losses" in measured:
        _losses(measured["losses"]["result"]).savefig(folder / "benchmark-losses.png", dpi=110)


def _growth(result: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(9, 5), layout="constrained")
    rows = figure.subplots(2, len(result), squeeze=False)
    for column, (name, points) in enumerate(result.items()):
        key, label = _AXES[name]
        across = [point[key] for point in points]
        for axis, value, unit in (
            (rows[0][column], "p20_ms", "ms a step"),
            (rows[1][column], "memory_mib", "peak MiB"),
        ):
            values = [point[value] for point in points]
            axis.plot(across, values, marker="o")
            axis.set(xscale="log", yscale="log", xlabel=label, ylabel=unit)
            axis.set_xticks(across, labels=map(str, across), minor=False)
            axis.set_yticks(values, labels=[f"{number:.0f}" for number in values], minor=False)
            axis.minorticks_off()
            axis.grid(alpha=0.3)
    return figure


def _losses(result: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    for name, losses in result["losses"].items():
        width = max(len(losses) // 20, 1)
        axis.plot(np.convolve(losses, np.ones(width) / width, mode="valid"), label=name, linewidth=1)
    axis.set(yscale="log", xlabel="steps", ylabel="loss, running mean")
    axis.legend(frameon=False)
    axis.grid(alpha=0.3)
    return figure
