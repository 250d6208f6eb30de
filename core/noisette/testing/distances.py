"""Whether samples follow a distribution, within sampling error."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import fmean, stdev
from typing import NamedTuple

import torch
from torch import Tensor

from noisette.diffusion.noise import seeded_generator
from noisette.testing.distributions import Mixture

__all__ = ["LawTest", "Verdict", "sliced_wasserstein"]


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
    return float(((a @ directions).sort(dim=0).values - (b @ directions).sort(dim=0).values).abs().mean())


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
        self.references = [law.draw(count, generator).flatten(1) for _ in range(self.REFERENCES)]
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
        distances = [sliced_wasserstein(rows, other, self.directions) for other in self.references]
        return sum(distances) / len(distances)


def _worst_deviation(what: str, expected: Tensor, actual: Tensor, error: Tensor) -> Verdict:
    errors = ((actual - expected).abs() / error).flatten()
    at = int(errors.argmax())
    return Verdict(what, float(expected.flatten()[at]), float(actual.flatten()[at]), float(errors[at]))
