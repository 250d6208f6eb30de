"""Whether the error of a sampler falls with the number of steps as declared."""

from __future__ import annotations

import math

import torch

from noisette.contracts import Sampler
from noisette.diffusion.noise import seeded_generator
from noisette.testing import processes
from noisette.testing.check import Skip, require
from noisette.testing.checks.sampler_laws import (
    _OVAL,
    _at_zero,
    _even,
    _is_affine,
    _place_before_last,
    _true_moments,
)
from noisette.testing.checks.samplers import with_steps
from noisette.testing.exact import ExactDenoiser
from noisette.testing.noises import BatchNoise, CountedNoise
from noisette.testing.options import format_plugin, with_options
from noisette.testing.probes import run_sampler


def check_order(plugin: Sampler) -> None:
    """The error falls with the number of steps as declared: error ~ steps^-order, slope within -0.3 and +0.7.

    On an anisotropic Gaussian, at the last trained step (the jump from there to the clean image does not shrink
    with more steps), for 60 to 480 intervals that are even in log(alpha / sigma). A deterministic sampler is
    compared with the probability-flow ODE, which is solved in closed form; a stochastic one with the exact mean
    and covariance, that is, weakly.
    """
    _falls_with_steps(plugin, plugin.order, [_even(intervals) for intervals in (60, 120, 240, 480)])


def check_order_on_uneven_steps(plugin: Sampler) -> None:
    """The error also falls as declared where long and short steps alternate, 2 to 1.

    A rule that remembers earlier steps must know how long they were. One that is declared `needs_even_steps` falls
    back to order 1, no further.
    """
    order = 1 if plugin.needs_even_steps else plugin.order
    _falls_with_steps(plugin, order, [_uneven(width) for width in (8, 4, 2)], at_least=plugin.needs_even_steps)


def _uneven(width: int) -> tuple[int, ...]:
    """Return timesteps of the `even` process with intervals that alternate between `width` and twice that."""
    last = len(processes.even()) - 1
    long = range(last, -1, -3 * width)
    return tuple(sorted({*long, *(t - 2 * width for t in long if t > 0)}, reverse=True))


def _falls_with_steps(
    plugin: Sampler, order: int, trajectories: list[tuple[int, ...]], *, at_least: bool = False
) -> None:
    if plugin.adaptive:
        raise Skip(f"{format_plugin(plugin)}: declares adaptive: its error does not depend on the number of steps")
    if not _deterministic(plugin) and not _is_affine(plugin):
        raise Skip(f"{format_plugin(plugin)}: its trajectory is not affine in the noise; see mixture-law")
    error_of = _flow_error if _deterministic(plugin) else _weak_error
    errors = [error_of(plugin, steps) for steps in trajectories]
    counts = [len(steps) - 1 for steps in trajectories]
    shown_errors = ", ".join(f"{error:.2e}" for error in errors)
    if plugin.bias:
        right, limit = errors[-1] <= plugin.bias * float(_OVAL.covariance.max()), "the declared bias"
        require(right, plugin, f"errors at {counts} intervals", f"at last within {limit}", shown_errors)
        return
    if max(errors) < 1e-9:
        return
    slope = -_slope([math.log2(max(error, 1e-15)) for error in errors])
    right = order - 0.3 <= slope and (at_least or slope < order + 0.7)
    actual = f"{slope:.2f} (errors at {', '.join(map(str, counts))} intervals: {shown_errors})"
    require(right, plugin, "order", f"{order}, as declared", actual)


def _weak_error(sampler: Sampler, steps: tuple[int, ...]) -> float:
    actual, truth = _at_zero(sampler, steps), _true_moments(processes.even())
    errors = (actual.mean - truth.mean).abs().max(), (actual.covariance - truth.covariance).abs().max()
    return float(max(errors))


def _flow_error(sampler: Sampler, steps: tuple[int, ...]) -> float:
    process = processes.even()
    x = _OVAL.at(*process(len(process) - 1)).draw(64, seeded_generator(0, "flow"))
    candidate = with_options(sampler, steps=len(steps), spacing=steps)
    states = run_sampler(candidate, ExactDenoiser(_OVAL, process), x, BatchNoise(0, x))
    actual = states[_place_before_last(candidate, len(states))]
    return float((actual - _OVAL.flow(x, process(len(process) - 1), process(0))).abs().max())


def _deterministic(sampler: Sampler) -> bool:
    x = torch.ones(1, 1, 1, 2, dtype=torch.float64)
    denoise, noise = ExactDenoiser(_OVAL, processes.linear()), CountedNoise(x)
    run_sampler(with_steps(sampler, 8), denoise, x, noise)
    return noise.draws == 0


def _slope(logs: list[float]) -> float:
    """Return the least-squares slope of values at unit distance."""
    centre = (len(logs) - 1) / 2
    weights = [index - centre for index in range(len(logs))]
    return sum(w * value for w, value in zip(weights, logs, strict=True)) / sum(w * w for w in weights)
