"""Whether a schedule with the name and the paper of a known one matches it at its defaults."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import torch
from torch import Tensor

from noisette.contracts import Schedule
from noisette.diffusion import Process
from noisette.testing.check import Skip, require
from noisette.testing.options import format_plugin, has_default_options


def check_betas_match_the_paper(plugin: Schedule) -> None:
    """Signals of a linear, quadratic, cosine or sigmoid schedule are its paper's at each step, within 0.005.

    Where it is one of those by its name and its paper both. Another one says so in either, such as "after Ho, Jain
    & Abbeel 2020".
    """
    known = [one for (name, paper), one in _KNOWN.items() if name in plugin.name and re.match(paper, plugin.paper)]
    if len(known) != 1 or plugin.length or not has_default_options(plugin) or plugin.has_zero_terminal_snr:
        raise Skip(f"{format_plugin(plugin)}: the kit knows no schedule of this name and paper")
    (signals,) = known
    for timesteps in (1000,) if signals in (_linear, _quadratic) else (100, 1000):
        expected, actual = signals(timesteps), Process(plugin.betas(timesteps)).alphas[:timesteps]
        at = int((actual - expected).abs().argmax())
        near = abs(float(actual[at] - expected[at])) <= 0.005
        what = f"alpha at step {at} of {timesteps}"
        wanted = f"{float(expected[at]):.4f}, as {plugin.paper.partition(';')[0]} has it"
        require(near, plugin, what, wanted, f"{float(actual[at]):.4f}")


def _linear(timesteps: int) -> Tensor:
    return _of(torch.linspace(1e-4, 0.02, timesteps, dtype=torch.float64))


def _quadratic(timesteps: int) -> Tensor:
    return _of(torch.linspace(1e-2, 0.02**0.5, timesteps, dtype=torch.float64) ** 2)


def _of(betas: Tensor) -> Tensor:
    return (1 - betas).cumprod(dim=0).sqrt()


def _cosine(timesteps: int) -> Tensor:
    t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    signals = torch.cos((t + 0.008) / 1.008 * math.pi / 2)
    return signals[1:] / signals[0]


def _sigmoid(timesteps: int) -> Tensor:
    t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    signal = torch.sigmoid(3 - 6 * t)
    squared = (signal - signal[-1]) / (signal[0] - signal[-1])
    return squared.clamp(min=0)[1:].sqrt()


_KNOWN: dict[tuple[str, str], Callable[[int], Tensor]] = {
    ("linear", r"Ho\b.* 2020"): _linear,
    ("quad", r"Ho\b.* 2020"): _quadratic,
    ("cosine", r"Nichol\b.* 2021"): _cosine,
    ("sigmoid", r"Jabri\b.* 202[23]"): _sigmoid,
}
"""Signals alpha_t, (T,), of schedules by a part of their name and their paper."""
