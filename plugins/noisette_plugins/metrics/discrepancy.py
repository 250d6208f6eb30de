"""The unbiased kernel discrepancy of two sets over random subsets, and its standard error.

For x of n pictures and y of m, with k(a, b) = (a·b / D + 1)³ (Gretton et al. 2012, eq. 3):

    MMD² = mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) - 2 mean_{ij} k(x_i, y_j).

Picture x_i weighs in it by g_i = 2 (mean_{j≠i} k(x_i, x_j) - mean_j k(x_i, y_j)), y_j likewise, and to first order

    Var MMD² = Var g_x / n + Var g_y / m.

The weights are measured with noise of their own, so this errs on the large side: by up to 1.4 in the standard
error where both sources are the same. The mean over B subsets adds the variance between subsets / B (law of total
variance).
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from noisette import DataError, Estimate
from noisette.diffusion import derive_seed
from noisette_plugins.metrics.rows import canonical_order, count

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["discrepancy", "polynomial"]

_ALL_PAIRS = 4000
"""Pictures up to which the kernel of all of them is computed once; beyond it, that of each subset."""


class _Kernels(NamedTuple):
    """k(x, x), k(y, y) and k(x, y) of some pictures, in float64."""

    xx: Tensor
    yy: Tensor
    xy: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> _Kernels:
        x, y = x.to(torch.float64), y.to(torch.float64)
        return cls(polynomial(x, x), polynomial(y, y), polynomial(x, y))


def discrepancy(generated: State, reference: State, subsets: int, size: int, seed: int) -> Estimate:
    """Return the mean estimate over subsets with its standard error; see the module's docstring.

    Raises:
        DataError: if a set has fewer than 2 pictures, or features of another length.
    """
    x, y = (_rows(state, whose) for state, whose in ((generated, "judged"), (reference, "reference")))
    if x.shape[1] != y.shape[1]:
        raise DataError(f"expected features of one length; got {x.shape[1]} and {y.shape[1]}")
    size = min(size, len(x), len(y))
    if size == len(x) == len(y):
        subsets = 1
    picks = (_picks(len(x), size, subsets, seed, "judged"), _picks(len(y), size, subsets, seed, "reference"))
    compare = _at_once if max(len(x), len(y)) <= _ALL_PAIRS else _one_by_one
    values, (spread_x, spread_y) = compare(x, y, *picks)
    variance = spread_x / len(x) + spread_y / len(y)
    if subsets > 1:
        variance += values.var() / subsets
    return Estimate(float(values.mean()), sqrt(float(variance)))


def polynomial(x: Tensor, y: Tensor) -> Tensor:
    """Return the cubic kernel of rows with rows, (N, M)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def _rows(state: State, whose: str) -> Tensor:
    found = count(state, "features")
    if found < 2:
        raise DataError(f"expected at least 2 {whose} pictures for an unbiased estimate; got {found}")
    features = state["features"]
    return features[canonical_order(features)]


def _picks(total: int, size: int, subsets: int, seed: int, purpose: str) -> Tensor:
    """Return the indices of each subset, (B, size): drawn without repetition, or all if it is the whole set."""
    if size == total:
        return torch.arange(total).expand(subsets, -1)
    generator = torch.Generator().manual_seed(derive_seed(seed, "kid", purpose))
    return torch.stack([torch.randperm(total, generator=generator)[:size] for _ in range(subsets)])


def _at_once(x: Tensor, y: Tensor, picks_x: Tensor, picks_y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the subsets' estimates (B,) and the variances of the weights (2,), from the kernel of all pairs.

    The sum over a subset's pairs is a quadratic form of its indicator.
    """
    kernels = _Kernels.of(x, y)
    in_x, in_y = _indicators(len(x), picks_x), _indicators(len(y), picks_y)
    across = ((kernels.xy.T @ in_x) * in_y).sum(dim=0) / picks_x.shape[1] ** 2
    return _among(kernels.xx, in_x) + _among(kernels.yy, in_y) - 2 * across, _spread(kernels)


def _one_by_one(x: Tensor, y: Tensor, picks_x: Tensor, picks_y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same from the kernel of each subset: memory does not grow with the sets."""
    whole = _indicators(picks_x.shape[1], torch.arange(picks_x.shape[1])[None])
    values, spreads = [], []
    for a, b in zip(picks_x, picks_y, strict=True):
        kernels = _Kernels.of(x[a], y[b])
        values.append(_among(kernels.xx, whole) + _among(kernels.yy, whole) - 2 * kernels.xy.mean())
        spreads.append(_spread(kernels))
    return torch.cat(values), torch.stack(spreads).mean(dim=0)


def _indicators(total: int, picks: Tensor) -> Tensor:
    """Return 1 where a picture is in a subset and 0 elsewhere, (total, B)."""
    zeros = torch.zeros(total, len(picks), dtype=torch.float64)
    return zeros.scatter_(0, picks.T, 1.0)


def _among(kernel: Tensor, indicators: Tensor) -> Tensor:
    """Return the mean kernel of the pairs inside each subset, (B,), a picture with itself left out."""
    size = indicators.sum(dim=0)
    pairs = kernel @ indicators - kernel.diagonal()[:, None]
    return (pairs * indicators).sum(dim=0) / (size * (size - 1))


def _spread(kernels: _Kernels) -> Tensor:
    """Return the variances of the weights g_x and g_y, (2,)."""
    xx, yy, xy = kernels
    g_x, g_y = 2 * (_others(xx) - xy.mean(dim=1)), 2 * (_others(yy) - xy.mean(dim=0))
    return torch.stack([g_x.var(), g_y.var()])


def _others(kernel: Tensor) -> Tensor:
    """Return each picture's mean kernel with the others of its set."""
    return (kernel.sum(dim=1) - kernel.diagonal()) / (len(kernel) - 1)
