"""Which of the T trained steps a sampler visits.

A walk is an explicit descending list of steps that ends at `CLEAN`, the image itself. The next step is
always the next of the list, never "t - T // steps".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from typing import Annotated, Literal

from pydantic import Field

__all__ = ["CLEAN", "Spacing", "space_timesteps"]

CLEAN = -1
"""The step after the last: x_{-1} is the clean image, with alpha 1 and sigma 0."""

_RHO = 7

Spacing = (
    Literal["linspace", "leading", "trailing", "quadratic", "karras"] | tuple[Annotated[int, Field(ge=0)], ...]
)
"""Name of a spacing, or the steps themselves in descending order."""


def space_timesteps(
    timesteps: int, steps: int, spacing: Spacing = "linspace", ratios: Sequence[float] | None = None
) -> list[int]:
    """Return `steps` of the trained steps T-1 ... 0 in descending order, and `CLEAN` at the end.

    For T = 1000 and 10 steps: ``linspace`` 999, 888, ..., 0 (Nichol & Dhariwal 2021); ``leading`` 900, 800,
    ..., 0 (Song et al. 2021, the linear tau); ``trailing`` 999, 899, ..., 99 (Lin et al. 2024, Table 2);
    ``quadratic`` 800, 632, ..., 0 (Song et al. 2021, appendix D.2). ``karras``: the steps whose sigma / alpha are
    nearest to a line in its seventh root (Karras et al. 2022, eq. 5); from noise without signal it goes on at the
    step before. It is made for processes whose ratio ends at about 100: under cosine's, which ends at 20,000, a few
    steps are nearly all spent on noise. A single step is T-1 under every name: a walk begins in noise, which a
    network that is told t = 0 would take for an image.

    Args:
        timesteps: T.
        steps: how many.
        spacing: how they are spread, or the steps themselves.
        ratios: sigma / alpha of each step, rising, (T,); for ``karras`` alone.

    Raises:
        ValueError: if there are more steps than were trained, or given steps do not descend within [0, T).
    """
    if not isinstance(spacing, str):
        return [*_validate_timesteps(timesteps, spacing), CLEAN]
    if not 1 <= steps <= timesteps:
        raise ValueError(f"steps: expected 1 to {timesteps}, the trained ones; got {steps}")
    if spacing == "karras":
        if ratios is None:
            raise ValueError("spacing: karras needs the ratios of the process; ask `Process.timesteps`")
        return [*sorted(_karras_timesteps(ratios[:timesteps], steps), reverse=True), CLEAN]
    return [*sorted(_space(timesteps, steps, spacing), reverse=True), CLEAN]


def _space(timesteps: int, steps: int, spacing: str) -> list[int]:
    last = timesteps - 1
    if steps == 1:
        return [last]
    if spacing == "leading":
        return [i * (timesteps // steps) for i in range(steps)]
    if spacing == "trailing":
        return [round(timesteps - i * timesteps / steps) - 1 for i in range(steps)]
    if spacing == "quadratic":
        # tau_i = floor(c i²) with c such that the last is 0.8 T; when steps are many, floors coincide
        # and the spacing falls back on the nearest distinct steps.
        return _make_distinct([int((0.8 * timesteps) * (i / (steps - 1)) ** 2) for i in range(steps)], last)
    return [round(i * last / (steps - 1)) for i in range(steps)]


def _karras_timesteps(ratios: Sequence[float], steps: int) -> list[int]:
    """Return the steps nearest to a line in the seventh root of the ratios, rising, from the first to the last."""
    last = len(ratios) - 1
    top = last if isfinite(ratios[last]) else last - 1
    if steps == 1 or top < 1:
        return list(range(last - steps + 1, last + 1))
    count = steps - (last - top)
    low, high = ratios[0] ** (1 / _RHO), ratios[top] ** (1 / _RHO)
    wanted = [(low + (high - low) * i / max(count - 1, 1)) ** _RHO for i in range(count)]
    found = [_nearest_index(ratios, ratio, top) for ratio in wanted]
    found[-1] = top
    return [*_make_distinct(found, top), *range(top + 1, last + 1)]


def _nearest_index(ratios: Sequence[float], wanted: float, top: int) -> int:
    """Return the step whose ratio is nearest in the logarithm."""
    above = min(bisect_left(ratios, wanted, hi=top), top)
    below = max(above - 1, 0)
    return below if wanted**2 < ratios[below] * ratios[above] else above


def _make_distinct(ascending: list[int], last: int) -> list[int]:
    for i in range(1, len(ascending)):
        ascending[i] = max(ascending[i], ascending[i - 1] + 1)
    excess = max(0, ascending[-1] - last)
    return [min(step, last - (len(ascending) - 1 - i)) for i, step in enumerate(ascending)] if excess else ascending


def _validate_timesteps(timesteps: int, given: tuple[int, ...]) -> tuple[int, ...]:
    falls = all(a > b for a, b in pairwise(given))
    if not given or not falls or not 0 <= given[-1] <= given[0] < timesteps:
        raise ValueError(f"spacing: expected descending steps within [0, {timesteps}); got {list(given)}")
    return given
