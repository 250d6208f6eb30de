"""Whether a schedule gives a valid forward process, and that of its paper."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from noisette.contracts import Schedule
from noisette.diffusion import Process
from noisette.errors import NoisetteError
from noisette.testing.check import Skip, require, skip_if
from noisette.testing.options import (
    combinations,
    find_ineffective_options,
    format_plugin,
    has_default_options,
    iter_alternatives,
)
from noisette.testing.probes import require_finite, require_same_random_state, seed_globally

SIZES = (1, 2, 3, 10, 100, 257, 999, 1000, 4000)
"""Values of T to test. A schedule may refuse one with a `NoisetteError`, but not 1000.

A schedule that declares its `length` is only tested with that.
"""


def check_betas_are_deterministic(plugin: Schedule) -> None:
    """Two calls give the same betas, independent of earlier calls and global seeds, and draw no random numbers."""
    with seed_globally(1):
        seeded = plugin.betas(plugin.length or 1000)
    with seed_globally(2):
        other = plugin.betas(plugin.length or 1000)
    require(torch.equal(seeded, other), plugin, "betas under another global seed", "the same", "different")
    with require_same_random_state(plugin, "a call of betas"):
        first = plugin.betas(plugin.length or 100)
    before = first.clone()
    first.fill_(0.5)
    plugin.betas(plugin.length or 10)
    same = torch.equal(before, plugin.betas(plugin.length or 100))
    require(same, plugin, "betas of a second call", "those of the first call", "others")


def check_betas_are_variances(plugin: Schedule) -> None:
    """T betas of shape (T,), float64, each in (0, 1); the last may be 1. T from 1 to 4000, every option."""
    for schedule in combinations(plugin):
        for timesteps, betas in _betas(schedule).items():
            what = f"betas of T = {timesteps}"
            shape = isinstance(betas, Tensor) and tuple(betas.shape) == (timesteps,)
            require(shape, schedule, what, f"shape ({timesteps},)", getattr(betas, "shape", type(betas)))
            require(betas.dtype == torch.float64, schedule, what, torch.float64, betas.dtype)
            inside = (betas > 0) & (betas < 1)
            inside[-1] |= betas[-1] == 1
            outside = {t: betas[t].item() for t in (~inside).nonzero().flatten().tolist()[:3]}
            require(not outside, schedule, what, "each in (0, 1), the last at most 1", f"{outside} by step")


def check_computed_in_float64(plugin: Schedule) -> None:
    """The betas are computed in float64: not all of them are float32 numbers."""
    betas = _betas(plugin)[plugin.length or 1000].double()
    rounded = bool((betas.float().double() == betas).all())
    require(not rounded, plugin, "precision of the betas", "float64", "float32: every beta is a float32 number")


def check_snr_decreases(plugin: Schedule) -> None:
    """The signal-to-noise ratio decreases strictly at every timestep."""
    for schedule in combinations(plugin):
        for timesteps, betas in _betas(schedule).items():
            snr = Process(betas).snr
            flat = ((snr[1:] >= snr[:-1]).nonzero().flatten() + 1).tolist()
            what = f"signal-to-noise ratio of T = {timesteps}"
            require(not flat, schedule, what, "a decrease at every timestep", f"none at timesteps {flat[:3]}")


def check_final_signal_is_small(plugin: Schedule) -> None:
    """alpha² at the last timestep is at most 1e-3, for T of 1000 and 4000.

    Sampling starts from pure noise: a sampler cannot recover a brightness that is left in the image there
    (Lin et al. 2024). A schedule that is meant to end earlier can declare this check as an expected failure.
    """
    for timesteps, betas in _betas(plugin).items():
        if timesteps in (1000, 4000):
            left, what = (
                float(Process(betas).alphas[timesteps - 1] ** 2),
                f"alpha² at the last of {timesteps} timesteps",
            )
            require(left <= 1e-3, plugin, what, "at most 1e-3", f"{left:.3g}")


def check_options_keep_final_signal_small(plugin: Schedule) -> None:
    """No other value of an option leaves more than half of the image, alpha² above 0.5, at T = 1000.

    Options are halved, or moved halfway to an end of their range. A power that is applied to the ends of the betas
    too, for example, removes nearly all noise.
    """
    for one in (one for one in iter_alternatives(plugin) if not one.length):
        left = float(Process(_betas(one)[1000]).alphas[999] ** 2)
        require(left <= 0.5, one, "alpha² at the last of 1000 timesteps", "at most 0.5", left)


def check_betas_rise_from_small(plugin: Schedule) -> None:
    """Betas do not decrease, with the given options, and the first is at most 0.02.

    Betas in the wrong order destroy the image at once; betas that are shifted by one begin with hardly any noise.
    A schedule with `is_monotonic = False` need only begin with little noise.
    """
    for timesteps, betas in _betas(plugin).items():
        if timesteps < 100 or plugin.length:
            continue
        what = f"of {timesteps} timesteps"
        first = float(betas[0])
        little = first <= 0.02 * max(1.0, 1000 / timesteps)
        require(little, plugin, f"first beta {what}", "at most 0.02", first)
        falls = (betas[1:] < betas[:-1] * (1 - 1e-9)).nonzero().flatten()
        right = not plugin.is_monotonic or not len(falls)
        where = int(falls[0]) + 1 if len(falls) else 0
        actual = f"{float(betas[where]):.5g} after {float(betas[where - 1]):.5g} at timestep {where}"
        wanted = "none smaller than the one before (or is_monotonic = False)"
        require(right, plugin, f"betas {what}", wanted, actual)
        even = float(betas[1]) <= 30 * first
        require(even, plugin, f"second beta {what}", f"about the first, {first:.5g}", float(betas[1]))


def check_similar_lengths_agree(plugin: Schedule) -> None:
    """alpha as a function of t / T is the same for T of 999, 1000 and 1001, and of 99, 100 and 101, within 0.02."""
    skip_if(plugin.length, plugin, f"it has one length, {plugin.length}")
    for middle in (100, 1000):
        given = dict(_iter_betas(plugin, (middle - 1, middle, middle + 1)))
        curves = {timesteps: _alphas_at_shares(Process(betas)) for timesteps, betas in given.items()}
        for timesteps, curve in curves.items():
            off = float((curve - curves[middle]).abs().max())
            what = f"alpha over t / T for T = {timesteps}"
            require(off <= 0.02, plugin, what, f"within 0.02 of that for {middle}", f"{off:.3g} off")


def check_betas_are_smooth(plugin: Schedule) -> None:
    """The betas are free of float32 rounding: for T = 4000 the second difference of log beta is below 1e-5.

    Betas from differences of neighbouring alphas in float32 have three correct digits.
    """
    betas = _betas(plugin).get(4000)
    if betas is None or not plugin.is_monotonic:
        raise Skip(f"{format_plugin(plugin)}: does not support 4000 timesteps, or is not monotonic")
    bend = float(betas[200:2800].log().diff().diff().abs().median())
    require(bend <= 1e-5, plugin, "median second difference of log beta", "at most 1e-5", bend)


def check_terminal_snr_as_declared(plugin: Schedule) -> None:
    """`has_zero_terminal_snr` declares whether the last beta is 1, where noise prediction cannot be trained."""
    for schedule in combinations(plugin):
        for timesteps, betas in _betas(schedule).items():
            actual, declared = bool(betas[-1] == 1), schedule.has_zero_terminal_snr
            what = f"last beta of {timesteps} is 1"
            require(actual == declared, schedule, what, f"{declared}, as has_zero_terminal_snr declares", actual)


def check_process_matches_brute_force(plugin: Schedule) -> None:
    """alpha, sigma and the posterior equal products and sums in Python floats, to 1e-9 relative.

    All processes are made first and compared afterwards, so that a buffer shared by calls is noticed.
    """
    for timesteps, process in [(size, Process(betas)) for size, betas in _iter_betas(plugin)]:
        squared, logs = 1.0, []
        for t, beta in enumerate(process.betas.tolist()):
            squared *= 1 - beta
            logs.append(math.log1p(-beta) if beta < 1 else -math.inf)
            if t in _probe_steps(timesteps):
                noise = -math.expm1(math.fsum(logs))
                actual, expected = process(t), (math.sqrt(squared), math.sqrt(noise))
                _agree(plugin, f"(alpha, sigma) at step {t} of {timesteps}", expected, actual)
        for t, s in ((t, s) for t in _probe_steps(timesteps) for s in _probe_steps(timesteps) if s < t):
            what = f"posterior from {t} to {s} of {timesteps}"
            _agree(plugin, what, _posterior(process, t, s), process.posterior(t, s))


def check_every_option_has_an_effect(plugin: Schedule) -> None:
    """Each option changes the betas of some T."""
    for key in find_ineffective_options(plugin, _fingerprint):
        require(False, plugin, f"option {key!r}", "an effect on the betas", "none")


def check_betas_match_the_paper(plugin: Schedule) -> None:
    """Signals of a linear, quadratic, cosine or sigmoid schedule are its paper's at each step, within 0.005.

    Where it is one of those by its name and its paper both. Another one says so in either, such as "after Ho, Jain
    & Abbeel 2020".
    """
    known = [one for (name, paper), one in _KNOWN.items() if name in plugin.name and re.match(paper, plugin.paper)]
    skip_if(
        len(known) != 1 or plugin.length or not has_default_options(plugin) or plugin.has_zero_terminal_snr,
        plugin,
        "the kit knows no schedule of this name and paper",
    )
    (signals,) = known
    for timesteps in (1000,) if signals in (_linear, _quadratic) else (100, 1000):
        expected, actual = signals(timesteps), Process(plugin.betas(timesteps)).alphas[:timesteps]
        at = int((actual - expected).abs().argmax())
        near = abs(float(actual[at] - expected[at])) <= 0.005
        what = f"alpha at step {at} of {timesteps}"
        wanted = f"{float(expected[at]):.4f}, as {plugin.paper.partition(';')[0]} has it"
        require(near, plugin, what, wanted, f"{float(actual[at]):.4f}")


def _alphas_at_shares(process: Process) -> Tensor:
    """Return alpha at nine fractions of the process, linearly interpolated between timesteps."""
    shares = torch.linspace(0.1, 0.9, 9, dtype=torch.float64) * len(process)
    low = shares.floor().long()
    before = torch.cat([torch.ones(1, dtype=torch.float64), process.alphas[:-1]])
    return before[low] + (shares - low) * (before[(low + 1).clamp(max=len(process))] - before[low])


def _iter_betas(schedule: Schedule, sizes: tuple[int, ...] = SIZES) -> Iterator[tuple[int, Tensor]]:
    for timesteps in (schedule.length,) if schedule.length else sizes:
        try:
            betas = schedule.betas(timesteps)
            what = f"betas of T = {timesteps}"
            require(isinstance(betas, Tensor), schedule, what, "a tensor", type(betas).__name__)
            require_finite(schedule, what, betas)
            yield timesteps, betas
        except NoisetteError as refusal:
            needed = timesteps in (1000, schedule.length)
            require(not needed, schedule, f"betas({timesteps})", "betas", f"the error: {refusal}")


def _betas(schedule: Schedule) -> dict[int, Tensor]:
    return dict(_iter_betas(schedule))


def _fingerprint(schedule: Schedule) -> list[bytes]:
    return [betas.numpy().tobytes() for betas in _betas(schedule).values()]


def _probe_steps(timesteps: int) -> list[int]:
    return sorted({0, 1, timesteps // 3, timesteps // 2, timesteps - 2, timesteps - 1} & set(range(timesteps)))


def _posterior(process: Process, t: int, s: int) -> tuple[float, float, float]:
    """Return eq. 7 of Ho et al. 2020 with the betas between s and t multiplied out."""
    betas = process.betas.tolist()
    kept = math.prod(1 - beta for beta in betas[s + 1 : t + 1])
    squared_s = math.prod(1 - beta for beta in betas[: s + 1])
    noise_s, noise_t = 1 - squared_s, 1 - squared_s * kept
    beta = 1 - kept
    return math.sqrt(squared_s) * beta / noise_t, math.sqrt(kept) * noise_s / noise_t, beta * noise_s / noise_t


def _agree(plugin: Schedule, what: str, expected: tuple[float, ...], actual: tuple[float, ...]) -> None:
    near = all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) for a, b in zip(expected, actual, strict=True))
    require(near, plugin, what, tuple(expected), tuple(actual))


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
