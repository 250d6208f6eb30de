"""Standard errors from leaving out a tenth of the images at a time (the jackknife; Efron 1982, chapter 3).

The tenths are chosen by content, so that they do not depend on the order of the images. Equal images are spread
over them. With θ_g the result without group g of G, Var θ = (G - 1) / G sum (θ_g - mean θ)², for each set
separately.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from noisette_plugins.metrics.feature_statistics import canonical_order

__all__ = [
    "GROUPS",
    "assign_groups",
    "binomial_stderr",
    "interaction",
    "jackknife_shifts",
    "leave_one_out_means",
    "scale_to_variance",
    "sum_by_group",
    "variance",
]

GROUPS = 10

_PARTS = 32
"""Groups in which influences of single rows are summed: the more groups, the better the covariance estimate."""


def assign_groups(rows: Tensor) -> Tensor:
    """Return the group of each row, (N,) int64: `GROUPS` groups, or one per row where there are fewer rows."""
    order = canonical_order(rows)
    groups = torch.empty(len(rows), dtype=torch.int64)
    groups[order] = torch.arange(len(rows)) % min(GROUPS, len(rows))
    return groups


def leave_one_out_means(values: Tensor, groups: Tensor) -> Tensor:
    """Return the mean of values (N,) without each group, (G,)."""
    number = int(groups.max()) + 1
    sums = torch.zeros(number, dtype=torch.float64).index_add_(0, groups, values.to(torch.float64))
    sizes = groups.bincount(minlength=number)
    return (sums.sum() - sums) / (len(values) - sizes)


def jackknife_shifts(left: Tensor) -> Tensor:
    """Return a vector (G,) as long as the error of a result, from the results without each group."""
    return (left - left.mean()) * sqrt((len(left) - 1) / len(left))


def variance(left: Tensor) -> float:
    """Return the variance of a result from the results without each group, (G,)."""
    return float(jackknife_shifts(left).square().sum())


def interaction(left: Tensor) -> float:
    """Return the part of the variance that two sets share.

    The jackknife over either set includes it (Efron & Stein 1981: it overestimates), so that their sum counts it
    twice.

    Args:
        left: the result without each group of one set and each of the other, (G, H).
    """
    alone = left - left.mean(dim=0) - left.mean(dim=1, keepdim=True) + left.mean()
    g, h = left.shape
    return float(alone.square().sum()) * (g - 1) * (h - 1) / (g * h)


def sum_by_group(influences: Tensor) -> Tensor:
    """Return the sums over groups, (G,), of centred influences (N,), for rows in canonical order."""
    groups = torch.arange(len(influences)) % _PARTS
    return torch.zeros(_PARTS, dtype=torch.float64).index_add_(0, groups, influences - influences.mean())


def scale_to_variance(vector: Tensor, variance: float) -> tuple[float, ...]:
    """Return a vector rescaled to the length of the root of a variance."""
    length = float(vector.norm())
    return tuple((vector * (sqrt(max(variance, 0.0)) / length)).tolist()) if length else ()


def binomial_stderr(share: float, total: int) -> float:
    """Return the error of a share of `total` images, computed slightly inside (0, 1) so that it is never 0."""
    middle = (share * total + 1) / (total + 2)
    return sqrt(middle * (1 - middle) / total)
