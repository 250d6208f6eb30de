"""Standard errors by leaving out a tenth of the pictures at a time (the jackknife; Efron 1982, chapter 3).

The tenths are chosen by content, so that they do not hang on the order of the pictures; equal pictures are spread
over them. With θ_g the result without group g of G, Var θ = (G - 1) / G sum (θ_g - mean θ)², for each set on its
own.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from noisette_plugins.metrics.rows import canonical_order

__all__ = ["GROUPS", "binomial", "groups_of", "variance", "without_each"]

GROUPS = 10


def groups_of(rows: Tensor) -> Tensor:
    """Return which group each row belongs to, (N,) int64: `GROUPS` of them, or one a row where there are fewer."""
    order = canonical_order(rows)
    groups = torch.empty(len(rows), dtype=torch.int64)
    groups[order] = torch.arange(len(rows)) % min(GROUPS, len(rows))
    return groups


def without_each(values: Tensor, groups: Tensor) -> Tensor:
    """Return the mean of values (N,) without each group, (G,)."""
    number = int(groups.max()) + 1
    sums = torch.zeros(number, dtype=torch.float64).index_add_(0, groups, values.to(torch.float64))
    sizes = groups.bincount(minlength=number)
    return (sums.sum() - sums) / (len(values) - sizes)


def variance(left: Tensor) -> float:
    """Return the variance of a result from what it was without each group, (G,)."""
    return float((left - left.mean()).square().sum() * (len(left) - 1) / len(left))


def binomial(share: float, total: int) -> float:
    """Return the error of a share of `total` pictures, taken a little inside (0, 1) so that it is never 0."""
    middle = (share * total + 1) / (total + 2)
    return sqrt(middle * (1 - middle) / total)
