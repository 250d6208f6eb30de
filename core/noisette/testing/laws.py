"""The distribution that a sampler produces: exactly, for a Gaussian, and from samples, within sampling error.

The exact denoiser of a Gaussian is affine in x_t, so a trajectory is affine in its start and its noise:

    x_s = c + A x_T + sum_k B_k z_k

One batch of unit vectors gives c, A and every B_k. Mean and covariance of x_s then follow for any start, and their
errors are those of the sampler, without sampling error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import NamedTuple

import torch
from torch import Tensor

from noisette.contracts import Sampler
from noisette.diffusion import Denoiser
from noisette.diffusion.noise import seeded_generator
from noisette.testing.distributions import Mixture
from noisette.testing.trajectories import BasisNoise, BatchNoise, CountedNoise, run_sampler

__all__ = ["LawTest", "Moments", "NotAffineError", "Verdict", "propagate", "sliced_wasserstein"]


class NotAffineError(Exception):
    """The trajectory is not affine in its noise, for example because it chooses its step sizes adaptively."""


@dataclass(frozen=True)
class Moments:
    """Mean (D,) and covariance (D, D) of one state of a trajectory, float64."""

    mean: Tensor
    covariance: Tensor


@torch.no_grad()
def propagate(sampler: Sampler, denoise: Denoiser, start: Mixture) -> list[Moments]:
    """Return the moments of each state of the trajectory from a start with distribution `start`.

    Args:
        sampler: the sampler of the trajectory.
        denoise: an affine denoiser, such as the exact one of a Gaussian.
        start: distribution of x at the first timestep of the trajectory.

    Raises:
        NotAffineError: if the states are not an affine function of start and noise.
    """
    size = start.means.shape[1]
    counted = CountedNoise(torch.zeros(1, *start.shape, dtype=torch.float64))
    run_sampler(sampler, denoise, counted(), counted)
    draws = counted.draws - 1
    units = torch.zeros(1 + size * (1 + draws), *start.shape, dtype=torch.float64)
    units.flatten(1)[1 : 1 + size] = torch.eye(size, dtype=torch.float64)
    noise = BasisNoise(units, 1 + size)
    states = [state.flatten(1) for state in run_sampler(sampler, denoise, units, noise)]
    if noise.draws != draws or not _predicts(sampler, denoise, start, states[-1], draws):
        raise NotAffineError
    return [_moments(state, start) for state in states]


def _moments(state: Tensor, start: Mixture) -> Moments:
    constant, parts = state[0], state[1:] - state[0]
    size = len(constant)
    carried, added = parts[:size], parts[size:]
    return Moments(constant + start.mean @ carried, carried.T @ start.covariance @ carried + added.T @ added)


def _predicts(sampler: Sampler, denoise: Denoiser, start: Mixture, units: Tensor, draws: int) -> bool:
    """Whether the end of a random trajectory follows from those of the unit vectors."""
    like = torch.zeros(4, *start.shape, dtype=torch.float64)
    source, again = BatchNoise(1, like), BatchNoise(1, like)
    *_, actual = run_sampler(sampler, denoise, 3 * source(), source)
    inputs = torch.cat([3 * again().flatten(1), *(again().flatten(1) for _ in range(draws))], dim=1)
    expected = units[0] + inputs @ (units[1:] - units[0])
    return torch.allclose(actual.flatten(1), expected, rtol=1e-6, atol=1e-6)


class Verdict(NamedTuple):
    """One statistic of the samples, its expected value, and their difference in standard errors."""

    what: str
    expected: float
    actual: float
    errors: float


def sliced_wasserstein(a: Tensor, b: Tensor, directions: Tensor) -> float:
    """Return the mean over directions (D, P) of the Wasserstein-1 distance of two sets (N, D).

    In one dimension it is the mean distance of the sorted values (Bonneel et al. 2015).
    """
    return float((_sort_projections(a, directions) - _sort_projections(b, directions)).abs().mean())


def _sort_projections(rows: Tensor, directions: Tensor) -> Tensor:
    return (rows @ directions).sort(dim=0).values


class LawTest:
    """Compares sets of N samples with a distribution; its own samples are generated once, from a fixed seed.

    Standard errors of mean and covariance follow from the moments of 16 N true samples. The standard error of the
    distance is estimated from 48 sets of N true samples, each compared with the same 4 others. It uses logarithms,
    which are nearly normal, while the distances are skewed.
    """

    FRESH, REFERENCES = 48, 4

    def __init__(self, law: Mixture, count: int) -> None:
        generator = seeded_generator(0, "judge")
        size = law.means.shape[1]
        self.law, self.count = law, count
        self.directions = torch.randn(size, 16, dtype=torch.float64, generator=generator)
        self.directions /= self.directions.norm(dim=0)
        references = [law.draw(count, generator).flatten(1) for _ in range(self.REFERENCES)]
        self.references = [_sort_projections(rows, self.directions) for rows in references]
        null = [math.log(self._distance(law.draw(count, generator).flatten(1))) for _ in range(self.FRESH)]
        self.usual, self.spread = fmean(null), stdev(null)
        away = law.draw(16 * count, generator).flatten(1) - law.mean
        self.covariance_error = torch.einsum("ni,nj->nij", away, away).std(dim=0) / math.sqrt(count)

    def verdicts(self, samples: Tensor) -> Iterator[Verdict]:
        """Yield the verdicts on samples (N, C, H, W): mean, covariance, distance."""
        rows = samples.flatten(1).double()
        law, away = self.law, rows - self.law.mean
        mean_error = (law.covariance.diagonal() / self.count).sqrt()
        yield _worst_deviation("mean", law.mean, rows.mean(dim=0), mean_error)
        yield _worst_deviation("covariance", law.covariance, away.T @ away / len(rows), self.covariance_error)
        distance = self._distance(rows)
        errors = (math.log(distance) - self.usual) / self.spread
        yield Verdict("distance to the law", math.exp(self.usual), distance, errors)

    def _distance(self, rows: Tensor) -> float:
        """Return the mean `sliced_wasserstein` distance to the references."""
        projected = _sort_projections(rows, self.directions)
        return fmean(float((projected - other).abs().mean()) for other in self.references)


def _worst_deviation(what: str, expected: Tensor, actual: Tensor, error: Tensor) -> Verdict:
    errors = ((actual - expected).abs() / error).flatten()
    at = int(errors.argmax())
    return Verdict(what, float(expected.flatten()[at]), float(actual.flatten()[at]), float(errors[at]))
