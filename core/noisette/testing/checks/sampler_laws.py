"""Whether a sampler draws from the right law, and how fast it gets there.

Two kinds of proof. Exact ones: under a Gaussian's denoiser a walk is affine in its noise, so mean and covariance
of what it draws follow without chance (`noisette.testing.affine`). Statistical ones: a mixture of Gaussians
bends the walk, and 4096 samples must be within their standard error of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from noisette.contracts import Sampler
from noisette.diffusion import Denoiser, Tables
from noisette.diffusion.noise import seeded_generator
from noisette.testing import processes
from noisette.testing.affine import Moments, NotAffineError, propagate
from noisette.testing.check import Skip, require
from noisette.testing.checks.samplers import COMMON, in_steps
from noisette.testing.distances import Judge
from noisette.testing.exact import Exact, ExactLabelled
from noisette.testing.laws import Gaussian, Labelled, Mixture
from noisette.testing.noises import Counted, Stream
from noisette.testing.options import at_defaults, shown, variants
from noisette.testing.probes import walk

COUNT = 4096
"""Samples of the statistical checks."""

LIMIT = 4.5
"""Standard errors that are still chance: once in 150,000 for one figure, and every seed is fixed."""

_MEAN = [0.7, -1.5]
_POINT = Gaussian(_MEAN, [[0.0, 0.0], [0.0, 0.0]])
_UNIT = Gaussian(_MEAN, [[1.0, 0.0], [0.0, 1.0]])
_OVAL = Gaussian(_MEAN, [[0.5, 0.3], [0.3, 1.5]])


def check_exact_on_a_point(plugin: Sampler) -> None:
    """If all pictures are one, every state has exactly the marginal law N(alpha_s m, sigma_s² I), in few steps too.

    The denoiser then says the same everywhere, so nothing is approximated and 1e-9 is rounding: a scale, an index
    or a variance that is slightly off shows at once, in 1, 7 and 100 steps, in float64. An ancestral sampler with
    the upper variance, beta, is exact on N(m, I) instead (Ho et al. 2020, section 3.2): accepted for options other
    than the defaults. A method that does not solve the linear part exactly (Euler-Maruyama) may expect to fail.
    """
    tables = processes.linear(100)
    for sampler in _affine_variants(plugin):
        for steps in (1, 7, 100):
            walker = in_steps(sampler, steps)
            what, error = _error_on_all_states(walker, tables, _POINT)
            if error > 1e-9 and not at_defaults(sampler, beside=COMMON):
                what, error = min(
                    (what, error), _error_on_all_states(walker, tables, _UNIT), key=lambda pair: pair[1]
                )
            require(
                error <= 1e-9, walker, f"{what}, all pictures at one point", "exact within 1e-9", f"{error:.3g} off"
            )


def check_gaussian_law(plugin: Sampler) -> None:
    """As steps grow, mean and covariance tend to those of an anisotropic Gaussian, for every option.

    Computed without chance at 960 and 480 intervals and extrapolated by the declared order (Richardson); what is
    left is the next order, below 1e-4, against a tolerance of 1e-3: a noise scale wrong by 0.05 % is seen.
    """
    for sampler in _affine_variants(plugin):
        fine, coarse = (_before_last(sampler, intervals) for intervals in (960, 480))
        truth = _truth(processes.even())
        gain = 1 / (2**sampler.order - 1)
        for what in ("mean", "covariance"):
            expected = getattr(truth, what)
            came = getattr(fine, what) + gain * (getattr(fine, what) - getattr(coarse, what))
            error = float((came - expected).abs().max())
            limit = f"{expected.tolist()} within 1e-3"
            require(error < 1e-3, sampler, f"{what} in the limit of many steps", limit, came.tolist())


def check_order(plugin: Sampler) -> None:
    """The error falls with the number of steps as declared: error ~ steps^-order, slope within -0.3 and +0.7.

    On an anisotropic Gaussian, at the last trained step (the jump from there to the clean picture does not shrink
    with more steps), for 60 to 480 intervals that are even in log(alpha / sigma). A deterministic sampler is
    compared with the probability-flow ODE, which is solved in closed form; a stochastic one with the exact mean
    and covariance, that is, weakly.
    """
    error_at = _flow_error if _deterministic(plugin) else _weak_error
    if error_at is _weak_error and not _is_affine(plugin):
        raise Skip(f"{shown(plugin)}: it draws noise and its walk is not affine in it; the mixture judges it")
    errors = [error_at(plugin, intervals) for intervals in (60, 120, 240, 480)]
    if max(errors) < 1e-9:
        return
    slope = -_slope([math.log2(max(error, 1e-15)) for error in errors])
    right = plugin.order - 0.3 <= slope < plugin.order + 0.7
    shown_errors = ", ".join(f"{error:.2e}" for error in errors)
    came = f"{slope:.2f} (errors at 60, 120, 240, 480 intervals: {shown_errors})"
    require(right, plugin, "order", f"{plugin.order}, as declared", came)


def check_mixture_law(plugin: Sampler) -> None:
    """Samples of a mixture of Gaussians have its mean, covariance and shape, within 4.5 standard errors.

    Nine of ten of its pictures leave [-1, 1], so that a sampler which clips is seen. The shape: sliced Wasserstein
    distance to true samples, against that of other true samples.
    """
    for sampler in variants(plugin, beside=COMMON):
        samples = _samples(sampler, None, lambda tables: Exact(_labelled().marginal, tables))
        _follow(sampler, samples, _labelled().classes, "")


def check_label_laws(plugin: Sampler) -> None:
    """With a label for each picture of a batch, each label's samples follow that label's law."""
    labels = torch.arange(COUNT) % _labelled().classes
    samples = _samples(plugin, labels, lambda tables: ExactLabelled(_labelled(), tables, labels))
    for label in range(_labelled().classes):
        _follow(plugin, samples[labels == label], label, f" of label {label}")


@cache
def _labelled() -> Labelled:
    first = Mixture(
        [0.3, 0.7], [[-1.5, 0.0], [0.5, 1.2]], [[[0.1, 0.05], [0.05, 0.2]], [[0.3, -0.1], [-0.1, 0.08]]]
    )
    second = Mixture([0.5, 0.5], [[1.8, -1.0], [0.0, -1.6]], [[[0.05, 0.0], [0.0, 0.4]], [[0.25, 0.1], [0.1, 0.1]]])
    return Labelled([first, second], [0.5, 0.5])


@cache
def _judge(label: int) -> Judge:
    law = _labelled()
    return Judge(law.given(label), COUNT if label == law.classes else COUNT // law.classes)


def _error_on_all_states(sampler: Sampler, tables: Tables, law: Gaussian) -> tuple[str, float]:
    listed = tables.timesteps(sampler.steps, sampler.spacing)
    if law is _UNIT:
        listed = listed[:-1]  # the jump to the clean picture takes the mean
    worst = ("mean", 0.0)
    for state, t in zip(
        propagate(sampler, Exact(law, tables), law.at(*tables(listed[0]))), listed[1:], strict=False
    ):
        truth = law.at(*tables(t))
        for what in ("mean", "covariance"):
            error = float((getattr(state, what) - getattr(truth, what)).abs().nan_to_num(math.inf).max())
            worst = max(worst, (f"{what} at step {t}", error), key=lambda pair: pair[1])
    return worst


def _affine_variants(plugin: Sampler) -> list[Sampler]:
    affine = [sampler for sampler in variants(plugin, beside=COMMON) if _is_affine(sampler)]
    if not affine:
        raise Skip(f"{shown(plugin)}: its walk is not affine in its noise; the mixture judges it")
    return affine


def _is_affine(sampler: Sampler) -> bool:
    tables = processes.linear(100)
    try:
        propagate(in_steps(sampler, 5), Exact(_OVAL, tables), _OVAL)
    except NotAffineError:
        return False
    return True


def _before_last(sampler: Sampler, intervals: int) -> Moments:
    """Return the moments at the last trained step of an even walk."""
    tables = processes.even()
    walker = in_steps(sampler, intervals + 1)
    return propagate(walker, Exact(_OVAL, tables), _OVAL.at(*tables(len(tables) - 1)))[-2]


def _truth(tables: Tables) -> Moments:
    law = _OVAL.at(*tables(0))
    return Moments(law.mean, law.covariance)


def _weak_error(sampler: Sampler, intervals: int) -> float:
    came, truth = _before_last(sampler, intervals), _truth(processes.even())
    errors = (came.mean - truth.mean).abs().max(), (came.covariance - truth.covariance).abs().max()
    return float(max(errors))


def _flow_error(sampler: Sampler, intervals: int) -> float:
    tables = processes.even()
    x = _OVAL.at(*tables(len(tables) - 1)).draw(64, seeded_generator(0, "flow"))
    walker = in_steps(sampler, intervals + 1)
    came = walk(walker, Exact(_OVAL, tables), x, Stream(0, x))[-2]
    return float((came - _OVAL.flow(x, tables(len(tables) - 1), tables(0))).abs().max())


def _deterministic(sampler: Sampler) -> bool:
    x = torch.ones(1, 1, 1, 2, dtype=torch.float64)
    denoise, noise = Exact(_OVAL, processes.linear()), Counted(x)
    walk(in_steps(sampler, 8), denoise, x, noise)
    return noise.draws == 0


def _slope(logs: list[float]) -> float:
    """Return the least-squares slope of values one apart."""
    centre = (len(logs) - 1) / 2
    weights = [index - centre for index in range(len(logs))]
    return sum(w * value for w, value in zip(weights, logs, strict=True)) / sum(w * w for w in weights)


def _follow(sampler: Sampler, samples: Tensor, label: int, whose: str) -> None:
    """Require that samples (N, 1, 1, 2) follow the law of a label."""
    for verdict in _judge(label).verdicts(samples):
        expected = f"{verdict.expected:.4g} within {LIMIT} standard errors"
        came = f"{verdict.came:.4g}, {verdict.errors:.1f} of them off"
        require(verdict.errors <= LIMIT, sampler, f"{verdict.what}{whose}", expected, came)


def _samples(sampler: Sampler, labels: Tensor | None, denoiser: Callable[[Tables], Denoiser]) -> Tensor:
    """Draw samples in so many steps that what is left of the discretisation is below the standard error."""
    tables = processes.linear()
    walker = in_steps(sampler, 1000 if sampler.order == 1 else 200)
    generator = seeded_generator(0, "walks")
    marginal = _labelled().marginal
    x0 = marginal.draw(COUNT, generator)
    if labels is not None:
        x0 = torch.stack([_labelled().given(int(label)).draw(1, generator)[0] for label in labels])
    eps = torch.randn(x0.shape, dtype=torch.float64, generator=generator)
    alpha, sigma = tables(len(tables) - 1)
    x = alpha * x0 + sigma * eps
    return walk(walker, denoiser(tables), x, Stream(1, x))[-1]
