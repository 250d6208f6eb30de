"""Whether a schedule gives a forward process that the tables can hold."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from noisette.contracts import Schedule
from noisette.diffusion import Process
from noisette.errors import NoisetteError
from noisette.testing.check import Skip, require
from noisette.testing.options import alternatives, combinations, find_ineffective_options, format_plugin
from noisette.testing.probes import require_same_random_state, seed_globally

SIZES = (1, 2, 3, 10, 100, 257, 999, 1000, 4000)
"""Numbers of steps T that are tried. A schedule may refuse one with a `NoisetteError`, but not 1000.

One that declares its `length` is tried at that only.
"""


def check_same_betas_every_time(plugin: Schedule) -> None:
    """Two calls give the same betas, whoever changed or seeded anything, and draw no random number."""
    with seed_globally(1):
        seeded = plugin.betas(plugin.length or 1000)
    with seed_globally(2):
        other = plugin.betas(plugin.length or 1000)
    require(torch.equal(seeded, other), plugin, "betas under another global seed", "the same", "others")
    with require_same_random_state(plugin, "a call of betas"):
        first = plugin.betas(plugin.length or 100)
    before = first.clone()
    first.fill_(0.5)
    plugin.betas(plugin.length or 10)
    same = torch.equal(before, plugin.betas(plugin.length or 100))
    require(same, plugin, "betas of a second call", "those of the first", "others")


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
    """The betas have float64's digits: not all of them are float32 numbers."""
    betas = _betas(plugin)[plugin.length or 1000].double()
    rounded = bool((betas.float().double() == betas).all())
    require(not rounded, plugin, "digits of the betas", "float64's", "float32 numbers, every one")


def check_signal_falls(plugin: Schedule) -> None:
    """The signal-to-noise ratio falls strictly at every step: none repeats a level or has drowned before."""
    for schedule in combinations(plugin):
        for timesteps, betas in _betas(schedule).items():
            snr = Process(betas).snr
            flat = ((snr[1:] >= snr[:-1]).nonzero().flatten() + 1).tolist()
            what = f"signal-to-noise ratio of T = {timesteps}"
            require(not flat, schedule, what, "a fall at every step", f"none at steps {flat[:3]}")


def check_little_signal_is_left(plugin: Schedule) -> None:
    """alpha² at the last step is at most 1e-3, for T of 1000 and 4000.

    Sampling starts from pure noise; what is left of the image there is a brightness that no sampler can find
    again (Lin et al. 2024). A schedule that is meant to end earlier may expect to fail.
    """
    for timesteps, betas in _betas(plugin).items():
        if timesteps in (1000, 4000):
            left = float(Process(betas).alphas[timesteps - 1] ** 2)
            require(left <= 1e-3, plugin, f"alpha² at the last of {timesteps} steps", "at most 1e-3", f"{left:.3g}")


def check_options_leave_the_process_whole(plugin: Schedule) -> None:
    """No other value of an option that is leaves half of the image, alpha² above 0.5, at T = 1000.

    Halved, or halfway to an end of its range, no option of a usual process does: a power that is taken of the ends
    too makes nearly all noise vanish.
    """
    for one in (one for tried in alternatives(plugin).values() for one in tried if not one.length):
        left = float(Process(_betas(one)[1000]).alphas[999] ** 2)
        require(left <= 0.5, one, "alpha² at the last of 1000 steps", "at most 0.5", left)


def check_noise_rises_from_little(plugin: Schedule) -> None:
    """No beta is below the one before, at the default options, and the first takes at most 2 % of the image.

    Noise that falls, or is told in the wrong order, destroys the image in its first steps; one that is shifted by
    a step begins with a step that does nothing, a hundredth of the next. A schedule that is declared not to rise
    (`is_monotonic`) need only begin with little noise.
    """
    for timesteps, betas in _betas(plugin).items():
        if timesteps < 100 or plugin.length:
            continue
        what = f"of {timesteps} steps"
        first = float(betas[0])
        little = first <= 0.02 * max(1.0, 1000 / timesteps)
        require(little, plugin, f"first beta {what}", "at most 0.02", first)
        falls = (betas[1:] < betas[:-1] * (1 - 1e-9)).nonzero().flatten()
        right = not plugin.is_monotonic or not len(falls)
        where = int(falls[0]) + 1 if len(falls) else 0
        actual = f"{float(betas[where]):.5g} after {float(betas[where - 1]):.5g} at step {where}"
        require(
            right, plugin, f"betas {what}", "none below the one before (or the declaration rises = False)", actual
        )
        even = float(betas[1]) <= 30 * first
        require(even, plugin, f"second beta {what}", f"about the first, {first:.5g}", float(betas[1]))


def check_neighbouring_lengths_agree(plugin: Schedule) -> None:
    """alpha over t / T is the same for T of 999, 1000 and 1001, and for odd and even ones around 100, to 2 %."""
    if plugin.length:
        raise Skip(f"{format_plugin(plugin)}: it has one length, {plugin.length}")
    for middle in (100, 1000):
        given = dict(_iter_betas(plugin, (middle - 1, middle, middle + 1)))
        curves = {timesteps: _alphas_at_shares(Process(betas)) for timesteps, betas in given.items()}
        for timesteps, curve in curves.items():
            off = float((curve - curves[middle]).abs().max())
            what = f"alpha over t / T for T = {timesteps}"
            require(off <= 0.02, plugin, what, f"within 0.02 of that for {middle}", f"{off:.3g} off")


def check_smooth_in_float64(plugin: Schedule) -> None:
    """The betas have no grain of float32: between steps of T = 4000 their logarithm bends by less than 1e-5.

    Differences of neighbouring alphas in float32 leave betas with three right digits.
    """
    betas = _betas(plugin).get(4000)
    if betas is None or not plugin.is_monotonic:
        raise Skip(f"{format_plugin(plugin)}: it has no 4000 steps, or does not rise")
    bend = float(betas[200:2800].log().diff().diff().abs().median())
    require(bend <= 1e-5, plugin, "median bend of log beta between steps", "at most 1e-5", bend)


def check_ends_in_noise_as_declared(plugin: Schedule) -> None:
    """`has_zero_terminal_snr` says whether the last beta is 1; noise prediction is then refused before training."""
    for schedule in combinations(plugin):
        for timesteps, betas in _betas(schedule).items():
            actual, declared = bool(betas[-1] == 1), schedule.has_zero_terminal_snr
            what = f"last beta of {timesteps} is 1"
            require(actual == declared, schedule, what, f"{declared}, as has_zero_terminal_snr declares", actual)


def check_tables_agree_with_brute_force(plugin: Schedule) -> None:
    """alpha, sigma and the posterior equal products and sums written out with Python's floats, to 1e-9 relative.

    The tables of all T are made first and compared afterwards, so that a buffer shared between calls is seen.
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
            _agree(
                plugin,
                f"posterior from {t} to {s} of {timesteps}",
                _posterior(process, t, s),
                process.posterior(t, s),
            )


def check_every_option_counts(plugin: Schedule) -> None:
    """Each option changes the betas of some T: none is read and forgotten."""
    for key in find_ineffective_options(plugin, _fingerprint):
        require(False, plugin, f"option {key!r}", "an effect on the betas", "none")


def _alphas_at_shares(process: Process) -> Tensor:
    """Return alpha at nine shares of the process, between steps as on a line."""
    shares = torch.linspace(0.1, 0.9, 9, dtype=torch.float64) * len(process)
    low = shares.floor().long()
    before = torch.cat([torch.ones(1, dtype=torch.float64), process.alphas[:-1]])
    return before[low] + (shares - low) * (before[(low + 1).clamp(max=len(process))] - before[low])


def _iter_betas(schedule: Schedule, sizes: tuple[int, ...] = SIZES) -> Iterator[tuple[int, Tensor]]:
    for timesteps in (schedule.length,) if schedule.length else sizes:
        try:
            betas = schedule.betas(timesteps)
            require(
                isinstance(betas, Tensor), schedule, f"betas of T = {timesteps}", "a tensor", type(betas).__name__
            )
            finite = bool(betas.isfinite().all())
            what = f"betas of T = {timesteps}"
            require(finite, schedule, what, "finite values", "NaN or infinity", cause="not finite")
            yield timesteps, betas
        except NoisetteError as refusal:
            require(
                timesteps not in (1000, schedule.length),
                schedule,
                f"betas({timesteps})",
                "betas",
                f"the refusal: {refusal}",
            )


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
