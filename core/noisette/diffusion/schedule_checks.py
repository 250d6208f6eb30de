"""What a schedule leaves of an image where sampling begins and ends, and what to say where it is wrong.

Sampling begins in pure noise, which a network only knows if training ended in it (Lin et al. 2024): what is left of
the image at the last step is the share alpha² of the variance of x_t.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from noisette.diffusion.process import Process

__all__ = ["find_schedule_problems", "find_start_problems"]

_MAX_SIGNAL_AT_START = 0.05
"""Share that may be left where sampling begins: published models have up to 0.02 (400 linear betas to 0.02)."""

_MIN_SIGNAL_AT_END = 0.5
"""Share that must be left after the first step: the last step of sampling makes up the rest at once."""


def find_schedule_problems(process: Process) -> list[str]:
    """Return what is wrong with a process's two ends, with the figures and what to do; nothing if they are good."""
    last = len(process) - 1
    left, first = process(last)[0] ** 2, process(0)[0] ** 2
    problems = []
    if left > _MAX_SIGNAL_AT_START:
        problems.append(
            f"the schedule does not end in noise: its last step, {last}, leaves {left:.0%} of the image (alpha²), "
            "and sampling begins in pure noise, which the network is never trained on. Raise timesteps, or take a "
            "schedule that ends in noise, such as cosine"
        )
    if first < _MIN_SIGNAL_AT_END:
        problems.append(
            f"the schedule leaves only {first:.2g} of the image (alpha²) after its first step, 0: the last step of "
            "sampling has to make up the rest at once. Raise timesteps, or lower the first betas"
        )
    return problems


def find_start_problems(process: Process, timesteps: Sequence[int]) -> list[str]:
    """Return what is wrong with the step that a walk from pure noise begins at, such as [500, 0, -1].

    Nothing is said of the last step of the process, which `find_schedule_problems` judges.
    """
    start, last = timesteps[0], len(process) - 1
    left = process(start)[0] ** 2
    if left <= max(_MAX_SIGNAL_AT_START, process(last)[0] ** 2):
        return []
    return [
        f"begins in pure noise at step {start} of {last}, where training left {left:.0%} of the image (alpha²): "
        "take more steps, or spacing linspace or trailing"
    ]
