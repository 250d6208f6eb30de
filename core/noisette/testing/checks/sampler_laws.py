"""Whether a sampler's images have the right distribution, and its error falls with the steps as declared.

Exact checks: with a Gaussian's denoiser a trajectory is affine in its noise, so that mean and covariance of the
result can be computed without sampling error (`noisette.testing.laws`). Statistical checks: 4096 samples of a
mixture of Gaussians, where trajectories are not affine, must agree with it within their standard error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from statistics import linear_regression

import torch
from torch import Tensor

from noisette.contracts import Sampler
from noisette.diffusion import Denoiser, Process
from noisette.diffusion.noise import seeded_generator
from noisette.diffusion.spacing import Spacing
from noisette.testing.check import format_brief, require, skip_if
from noisette.testing.checks.samplers import COMMON, with_steps
from noisette.testing.distributions import Gaussian, LabelledMixture, Mixture
from noisette.testing.laws import LawTest, Moments, NotAffineError, propagate
from noisette.testing.options import combinations, has_default_options, variants, with_options
from noisette.testing.trajectories import (
    BatchNoise,
    CountedNoise,
    ExactDenoiser,
    ExactLabelledDenoiser,
    even_process,
    linear_process,
    run_sampler,
    zero_terminal_process,
)

COUNT = 4096
"""Samples of the statistical checks."""

_STEPS = 250

LIMIT = 4.5
"""Standard errors that are accepted as chance: exceeded once in 150,000 values; all seeds are fixed."""

_MEAN = [0.7, -1.5]

_OVAL = Gaussian(_MEAN, [[0.5, 0.3], [0.3, 1.5]])

_MEANS = [0.7, -1.5, 0.2, 1.1, -0.4, 0.9]

_COLOUR = (3, 1, 2)

_POINT = Gaussian(_MEANS, torch.zeros(6, 6), _COLOUR)

_UNIT = Gaussian(_MEANS, torch.eye(6), _COLOUR)

_TRAJECTORIES: tuple[tuple[Callable[[int], Process], int, int, Spacing], ...] = (
    (linear_process, 100, 1, "linspace"),
    (linear_process, 100, 7, "linspace"),
    (linear_process, 100, 100, "linspace"),
    (linear_process, 257, 9, "quadratic"),
    (even_process, 961, 6, "trailing"),
    (zero_terminal_process, 64, 5, "trailing"),
    (linear_process, 1000, 7, (999, 990, 600, 250, 249, 30, 2)),
)
"""Process, T, steps and spacing of the trajectories that are exact on a point."""


def check_exact_on_a_point(plugin: Sampler) -> None:
    """If all images are equal, every state has exactly the marginal law N(alpha_s m, sigma_s² I), in few steps too.

    The prediction is then constant, nothing is approximated and 1e-9 is rounding: a scale, an index or a variance
    that is slightly off shows at once, in float64, in images of three channels, for values inside
    the ranges of the options and pairs of them, several T, and uneven steps. An ancestral sampler with the upper
    variance, beta, is exact on N(m, I) instead (Ho et al. 2020, section 3.2): accepted for options other than the
    defaults. A declared `bias` is allowed to the variance. A method that is not `linear_exact` must
    come nearer with more steps.
    """
    for sampler in _affine_settings(plugin):
        if not plugin.linear_exact:
            _tends_to_a_point(sampler)
            continue
        for make_process, timesteps, steps, spacing in _TRAJECTORIES:
            candidate, process = with_options(sampler, steps=steps, spacing=spacing), make_process(timesteps)
            what, error = _error_on_all_states(candidate, process, _POINT)
            if error > 1e-9 and not has_default_options(sampler, exclude=COMMON):
                other = _error_on_all_states(candidate, process, _UNIT)
                what, error = min((what, error), other, key=lambda pair: pair[1])
            limit = 1e-9 + plugin.bias
            wanted = f"exact within {limit:.3g}"
            require(error <= limit, candidate, f"{what}, all images at one point", wanted, f"{error:.3g} off")


def check_gaussian_law(plugin: Sampler) -> None:
    """As steps grow, mean and covariance tend to those of an anisotropic Gaussian, for every option.

    Computed without chance at 480 and 240 intervals and extrapolated by the declared order (Richardson); what is
    left is the next order, below 4e-4, against a tolerance of 1e-3: a noise scale wrong by 0.05 % is seen. A
    declared `bias` is allowed as a share of the largest variance, and 1e-2 where a sampler `renoises`: to the
    nearest trained level, which is not smooth in the number of steps.
    """
    skip_if(plugin.adaptive, plugin, "it declares adaptive; see mixture-law")
    for sampler in _affine_settings(plugin):
        fine, coarse = (_moments_before_last(sampler, _even(intervals)) for intervals in (480, 240))
        truth = _true_moments()
        gain = 1 / (2**sampler.order - 1)
        limit = (1e-2 if plugin.renoises else 1e-3) + plugin.bias * float(truth.covariance.max())
        for what in ("mean", "covariance"):
            expected = getattr(truth, what)
            actual = getattr(fine, what) + gain * (getattr(fine, what) - getattr(coarse, what))
            error = float((actual - expected).abs().max())
            within = f"{format_brief(expected.tolist())} within {limit:.3g}"
            require(error < limit, sampler, f"{what} in the limit of many steps", within, actual.tolist())


def check_mixture_law(plugin: Sampler) -> None:
    """Samples of a mixture of Gaussians have its mean, covariance and shape, within 4.5 standard errors.

    Nine of ten of its images exceed [-1, 1], so that a sampler that clips is noticed. The shape: sliced Wasserstein
    distance to true samples, against that of other true samples. A declared `bias` is allowed to each. Where
    a trajectory is not affine in its noise, options inside ranges are tried as well.
    """
    affine = _is_affine(plugin)
    for sampler in variants(plugin, exclude=COMMON) if affine else combinations(plugin, exclude=COMMON, most=6):
        samples = _samples(sampler, None, lambda process: ExactDenoiser(_labelled_law().marginal, process))
        _require_law(sampler, samples, _labelled_law().classes, "")


def check_label_laws(plugin: Sampler) -> None:
    """With a label for each image of a batch, each label's samples follow that label's law."""
    labels = torch.arange(COUNT) % _labelled_law().classes
    samples = _samples(plugin, labels, lambda process: ExactLabelledDenoiser(_labelled_law(), process, labels))
    for label in range(_labelled_law().classes):
        _require_law(plugin, samples[labels == label], label, f" of label {label}")


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


@cache
def _labelled_law() -> LabelledMixture:
    """Two labels with a distribution each, over images of three channels of 1 x 2."""
    generator = seeded_generator(0, "laws")
    first = _random_mixture([0.3, 0.7], generator)
    return LabelledMixture([first, _random_mixture([0.5, 0.5], generator)], [0.5, 0.5])


def _random_mixture(weights: list[float], generator: torch.Generator) -> Mixture:
    size = math.prod(_COLOUR)
    means = 1.2 * torch.randn(len(weights), size, dtype=torch.float64, generator=generator)
    roots = 0.4 * torch.randn(len(weights), size, size, dtype=torch.float64, generator=generator) / size**0.5
    spread = 0.05 * torch.eye(size, dtype=torch.float64)
    return Mixture(weights, means, roots @ roots.transpose(1, 2) + spread, _COLOUR)


@cache
def _law_test(label: int) -> LawTest:
    law = _labelled_law()
    return LawTest(law.law_of(label), COUNT if label == law.classes else COUNT // law.classes)


def _error_on_all_states(sampler: Sampler, process: Process, law: Gaussian) -> tuple[str, float]:
    listed = process.timesteps(sampler.steps, sampler.spacing)
    states = propagate(sampler, ExactDenoiser(law, process), law.at(*process(listed[0])))
    if sampler.adaptive:
        states, listed = states[-1:], [listed[0], listed[-1]]
    if law is _UNIT:
        listed = listed[:-1]  # the last step, to the clean image, returns the mean
    worst = ("mean", 0.0)
    for state, t in zip(states, listed[1:], strict=False):
        truth = law.at(*process(t))
        for what in ("mean", "covariance"):
            error = float((getattr(state, what) - getattr(truth, what)).abs().max())
            worst = max(worst, (f"{what} at step {t}", error), key=lambda pair: pair[1])
    return worst


def _tends_to_a_point(sampler: Sampler) -> None:
    process = linear_process()
    errors = [_error_on_all_states(with_steps(sampler, steps), process, _POINT)[1] for steps in (250, 1000)]
    actual = f"{format_brief(errors[0])} in 250 steps, {format_brief(errors[1])} in 1000"
    falls = errors[1] <= max(errors[0] * 0.35, 1e-9)
    require(falls, sampler, "error where all images are one", "a fall to a third in four times the steps", actual)


def _affine_settings(plugin: Sampler) -> list[Sampler]:
    affine = [sampler for sampler in combinations(plugin, exclude=COMMON, most=8) if _is_affine(sampler)]
    skip_if(not affine, plugin, "its trajectory is not affine in the noise; see mixture-law")
    return affine


@cache
def _is_affine(sampler: Sampler) -> bool:
    process = linear_process(100)
    try:
        propagate(with_steps(sampler, 5), ExactDenoiser(_OVAL, process), _OVAL)
    except NotAffineError:
        return False
    return True


def _even(intervals: int) -> tuple[int, ...]:
    """Return the timesteps of the `even` process with `intervals` equal intervals."""
    last = len(even_process()) - 1
    return tuple(range(last, -1, -last // intervals))


def _moments_before_last(sampler: Sampler, steps: tuple[int, ...]) -> Moments:
    """Return the moments at the last trained timestep of a trajectory over these timesteps."""
    denoise = _oval_denoiser()
    candidate = with_options(sampler, steps=len(steps), spacing=steps)
    states = propagate(candidate, denoise, _OVAL.at(*denoise.process(len(denoise.process) - 1)))
    return states[_place_before_last(candidate, len(states))]


@cache
def _oval_denoiser() -> ExactDenoiser:
    return ExactDenoiser(_OVAL, even_process())


def _place_before_last(sampler: Sampler, count: int) -> int:
    what, cause = "states of a long trajectory", "too few states"
    require(count >= 2, sampler, what, "one after each step", count, cause=cause)
    return count - 2


@cache
def _true_moments() -> Moments:
    law = _OVAL.at(*even_process()(0))
    return Moments(law.mean, law.covariance)


def _require_law(sampler: Sampler, samples: Tensor, label: int, whose: str) -> None:
    """Require that samples (N, C, H, W) follow the distribution of a label, up to the declared bias."""
    law_test = _law_test(label)
    allowed = sampler.bias * float(law_test.law.covariance.max())
    for verdict in law_test.verdicts(samples):
        expected = f"{verdict.expected:.4g} within {LIMIT} standard errors"
        actual = f"{verdict.actual:.4g}, {verdict.errors:.1f} of them off"
        right = verdict.errors <= LIMIT or abs(verdict.actual - verdict.expected) <= allowed
        require(right, sampler, f"{verdict.what}{whose}", expected, actual)


def _samples(sampler: Sampler, labels: Tensor | None, denoiser: Callable[[Process], Denoiser]) -> Tensor:
    """Sample with enough steps to keep the discretisation error below the standard error."""
    process = linear_process()
    candidate = with_steps(sampler, 200)
    if sampler.order == 1 and not sampler.needs_even_steps:
        steps = 2 * _STEPS if sampler.renoises else _STEPS
        candidate = with_options(sampler, steps=steps, spacing="karras")  # nearly even in log(alpha / sigma)
    x = _start(labels is not None).clone()
    return run_sampler(candidate, denoiser(process), x, BatchNoise(1, x))[-1]


@cache
def _start(labelled: bool) -> Tensor:
    """Return noisy images, (COUNT, C, H, W), of no label, or of each label in turn."""
    law, generator, process = _labelled_law(), seeded_generator(0, "walks"), linear_process()
    x0 = law.marginal.draw(COUNT, generator)
    if labelled:
        x0 = torch.stack([law.law_of(i % law.classes).draw(1, generator)[0] for i in range(COUNT)])
    eps = torch.randn(x0.shape, dtype=torch.float64, generator=generator)
    alpha, sigma = process(len(process) - 1)
    return alpha * x0 + sigma * eps


def _uneven(width: int) -> tuple[int, ...]:
    """Return timesteps of the `even` process with intervals that alternate between `width` and twice that."""
    last = len(even_process()) - 1
    long = range(last, -1, -3 * width)
    return tuple(sorted({*long, *(t - 2 * width for t in long if t > 0)}, reverse=True))


def _falls_with_steps(
    plugin: Sampler, order: int, trajectories: list[tuple[int, ...]], *, at_least: bool = False
) -> None:
    skip_if(plugin.adaptive, plugin, "declares adaptive: its error does not depend on the number of steps")
    skip_if(
        not _deterministic(plugin) and not _is_affine(plugin),
        plugin,
        "its trajectory is not affine in the noise; see mixture-law",
    )
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
    slope = -linear_regression(range(len(errors)), [math.log2(max(error, 1e-15)) for error in errors]).slope
    right = order - 0.3 <= slope and (at_least or slope < order + 0.7)
    actual = f"{slope:.2f} (errors at {', '.join(map(str, counts))} intervals: {shown_errors})"
    require(right, plugin, "order", f"{order}, as declared", actual)


def _weak_error(sampler: Sampler, steps: tuple[int, ...]) -> float:
    actual, truth = _moments_before_last(sampler, steps), _true_moments()
    errors = (actual.mean - truth.mean).abs().max(), (actual.covariance - truth.covariance).abs().max()
    return float(max(errors))


def _flow_error(sampler: Sampler, steps: tuple[int, ...]) -> float:
    process = even_process()
    x = _OVAL.at(*process(len(process) - 1)).draw(64, seeded_generator(0, "flow"))
    candidate = with_options(sampler, steps=len(steps), spacing=steps)
    states = run_sampler(candidate, ExactDenoiser(_OVAL, process), x, BatchNoise(0, x))
    actual = states[_place_before_last(candidate, len(states))]
    return float((actual - _OVAL.flow(x, process(len(process) - 1), process(0))).abs().max())


def _deterministic(sampler: Sampler) -> bool:
    x = torch.ones(1, 1, 1, 2, dtype=torch.float64)
    denoise, noise = ExactDenoiser(_OVAL, linear_process()), CountedNoise(x)
    run_sampler(with_steps(sampler, 8), denoise, x, noise)
    return noise.draws == 0
