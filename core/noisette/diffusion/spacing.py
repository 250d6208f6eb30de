"""The timesteps that a sampler visits, of the T trained ones.

They are an explicit descending list that ends at `CLEAN`, the image itself. The timestep after t is always the next
of the list, never "t - T // steps".
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
"""The timestep of the clean image x_{-1}, with alpha 1 and sigma 0."""

_RHO = 7

Spacing = (
    Literal["linspace", "leading", "trailing", "quadratic", "karras"] | tuple[Annotated[int, Field(ge=0)], ...]
)
"""Name of a spacing, or the timesteps themselves in descending order."""


def space_timesteps(
    timesteps: int, steps: int, spacing: Spacing = "linspace", ratios: Sequence[float] | None = None
) -> list[int]:
    """Return `steps` of the timesteps T-1 ... 0 in descending order, and `CLEAN` at the end.

    For T = 1000 and 10 steps: ``linspace`` 999, 888, ..., 0 (Nichol & Dhariwal 2021); ``leading`` 900, 800,
    ..., 0 (Song et al. 2021, the linear tau); ``trailing`` 999, 899, ..., 99 (Lin et al. 2024, Table 2);
    ``quadratic`` 800, 632, ..., 0 (Song et al. 2021, appendix D.2); ``karras`` the timesteps whose sigma / alpha is
    nearest to a line in its seventh root (Karras et al. 2022, eq. 5), starting with T-1 if that has no signal. It
    suits processes whose ratio ends at about 100: under cosine, which ends at 20,000, it spends most of a few steps
    on noise. A single step is T-1 for every spacing: sampling begins in noise, which a network would take for an
    image at t = 0.

    Args:
        timesteps: T.
        steps: number of sampling steps.
        spacing: name of a spacing, or the timesteps themselves.
        ratios: sigma / alpha of each timestep, ascending, (T,); needed by ``karras`` only.

    Raises:
        ValueError: if there are more steps than timesteps, or explicit timesteps do not descend within [0, T).
    """
    if not isinstance(spacing, str):
        return [*_validate_timesteps(timesteps, spacing), CLEAN]
    if not 1 <= steps <= timesteps:
        raise ValueError(f"steps: expected 1 to {timesteps}, the trained timesteps; got {steps}")
    if spacing == "karras":
        if ratios is None:
            raise ValueError("spacing: karras needs the ratios of the process; call `Process.timesteps`")
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
        # tau_i = floor(c i²) with c such that the last is 0.8 T; equal floors of many steps are moved apart
        return _make_distinct([int((0.8 * timesteps) * (i / (steps - 1)) ** 2) for i in range(steps)], last)
    return [round(i * last / (steps - 1)) for i in range(steps)]


def _karras_timesteps(ratios: Sequence[float], steps: int) -> list[int]:
    """Return the timesteps nearest to a line in the seventh root of the ratios, ascending."""
    last = len(ratios) - 1
    top = last if isfinite(ratios[last]) else last - 1
    if steps == 1 or top < 1:
        return list(range(last - steps + 1, last + 1))
    count = steps - (last - top)
    low, high = ratios[0] ** (1 / _RHO), ratios[top] ** (1 / _RHO)
    wanted = [(low + (high - low) * i / max(count - 1, 1)) ** _RHO for i in range(count)]
    nearest = [_nearest_index(ratios, ratio, top) for ratio in wanted]
    nearest[-1] = top
    return [*_make_distinct(nearest, top), *range(top + 1, last + 1)]


def _nearest_index(ratios: Sequence[float], wanted: float, top: int) -> int:
    """Return the timestep whose log ratio is nearest."""
    above = min(bisect_left(ratios, wanted, hi=top), top)
    below = max(above - 1, 0)
    return below if wanted**2 < ratios[below] * ratios[above] else above


def _make_distinct(ascending: list[int], last: int) -> list[int]:
    for i in range(1, len(ascending)):
        ascending[i] = max(ascending[i], ascending[i - 1] + 1)
    excess = max(0, ascending[-1] - last)
    return [min(step, last - (len(ascending) - 1 - i)) for i, step in enumerate(ascending)] if excess else ascending


def _validate_timesteps(timesteps: int, given: tuple[int, ...]) -> tuple[int, ...]:
    descending = all(a > b for a, b in pairwise(given))
    if not given or not descending or not 0 <= given[-1] <= given[0] < timesteps:
        raise ValueError(f"spacing: expected descending timesteps within [0, {timesteps}); got {list(given)}")
    return given
