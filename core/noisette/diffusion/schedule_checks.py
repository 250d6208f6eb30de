"""Checks of the signal that a schedule leaves where sampling begins and ends.

Sampling begins in pure noise, which a network knows only if training included it (Lin et al. 2024). The signal at a
timestep is measured by alpha², its share of the variance of x_t.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from noisette.diffusion.process import Process

__all__ = ["find_schedule_problems", "find_start_problems"]

_MAX_SIGNAL_AT_START = 0.05
"""Largest alpha² where sampling begins; published models have up to 0.02 (400 linear betas to 0.02)."""

_MIN_SIGNAL_AT_END = 0.5
"""Smallest alpha² after the first timestep: the last sampling step adds the rest at once."""


def find_schedule_problems(process: Process) -> list[str]:
    """Return the problems at the two ends of a process, each with numbers and advice."""
    last = len(process) - 1
    left, first = process(last)[0] ** 2, process(0)[0] ** 2
    problems = []
    if left > _MAX_SIGNAL_AT_START:
        problems.append(
            f"the schedule does not end in noise: its last timestep, {last}, leaves {left:.0%} of the image "
            "(alpha²), but sampling begins in pure noise, which the network is never trained on; raise timesteps "
            "or take a schedule that ends in noise, such as cosine"
        )
    if first < _MIN_SIGNAL_AT_END:
        problems.append(
            f"the schedule leaves only {first:.2g} of the image (alpha²) after its first timestep, 0: the last "
            "sampling step has to add the rest at once; raise timesteps, or lower the first betas"
        )
    return problems


def find_start_problems(process: Process, timesteps: Sequence[int]) -> list[str]:
    """Return the problems of the first timestep of a trajectory from pure noise, such as [500, 0, -1].

    The last timestep of the process is always accepted; `find_schedule_problems` checks it.
    """
    start, last = timesteps[0], len(process) - 1
    left = process(start)[0] ** 2
    if left <= max(_MAX_SIGNAL_AT_START, process(last)[0] ** 2):
        return []
    return [
        f"begins in pure noise at timestep {start} of {last}, where training left {left:.0%} of the image "
        "(alpha²): take more steps, or spacing linspace or trailing"
    ]
