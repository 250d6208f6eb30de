"""The unbiased kernel discrepancy of two sets over random subsets, and its standard error.

For x of n images and y of m, with k(a, b) = (a·b / D + 1)³ (Gretton et al. 2012, eq. 3):

    MMD² = mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) - 2 mean_{ij} k(x_i, y_j).

The weight of image x_i is g_i = 2 (mean_{j≠i} k(x_i, x_j) - mean_j k(x_i, y_j)), likewise for y_j. With Z the
variances of the kernels' entries about their row and column means,

    Var MMD² = V_x / n + V_y / m + 2 Z_xx / (n (n - 1)) + 2 Z_yy / (m (m - 1)) + 4 Z_xy / (n m)

(Hoeffding; Serfling 1980, section 5.2). V_x is the variance of g minus the variance that arises because each g_i
is estimated from few other images, 4 (Z_xx / (n - 1) + Z_xy / m). Without this correction, the estimated variance
is twice too large where the sources are the same. The mean over B subsets adds the variance between subsets / B
(law of total variance).
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from noisette import DataError, Estimate
from noisette.plugin_api import derive_seed
from noisette_plugins.metrics.feature_statistics import canonical_order, count, scale_to_variance, sum_by_group

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["discrepancy", "polynomial"]

_ALL_PAIRS = 4000
"""Largest number of images for which the full kernel is computed once; above it, one kernel per subset."""


class _Kernels(NamedTuple):
    """k(x, x), k(y, y) and k(x, y) of some images, in float64."""

    xx: Tensor
    yy: Tensor
    xy: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> _Kernels:
        x, y = x.to(torch.float64), y.to(torch.float64)
        return cls(polynomial(x, x), polynomial(y, y), polynomial(x, y))


class _Parts(NamedTuple):
    """Terms of the variance; see the module's docstring.

    Attributes:
        own: V_x and V_y, (2,), which may be slightly below 0.
        pairs: Z_xx, Z_yy and Z_xy, (3,).
    """

    own: Tensor
    pairs: Tensor

    @classmethod
    def of(cls, kernels: _Kernels, g: tuple[Tensor, Tensor]) -> _Parts:
        (n, m), (xx, yy, xy) = kernels.xy.shape, kernels
        pairs = torch.stack(
            [_centred_variance(xx, others=True), _centred_variance(yy, others=True), _centred_variance(xy)]
        )
        noise = 4 * torch.stack([pairs[0] / (n - 1) + pairs[2] / m, pairs[1] / (m - 1) + pairs[2] / n])
        return cls(torch.stack([g[0].var(), g[1].var()]) - noise, pairs)

    def variances(self, n: int, m: int) -> tuple[float, float]:
        """Return the variance of the discrepancy of n and m images, and the contribution of the m images."""
        own, (xx, yy, xy) = self.own.clamp(min=0).tolist(), self.pairs.tolist()
        ours = own[0] / n + 2 * xx / (n * (n - 1)) + 2 * xy / (n * m)
        theirs = own[1] / m + 2 * yy / (m * (m - 1)) + 2 * xy / (n * m)
        return ours + theirs, theirs


class _SubsetEstimates(NamedTuple):
    """Estimates of the subsets (B,), the terms of their variance, and the weights of y (m,)."""

    values: Tensor
    parts: _Parts
    weights: Tensor


def discrepancy(generated: State, reference: State, subsets: int, size: int, seed: int) -> Estimate:
    """Return the mean estimate over subsets with its standard error; see the module's docstring.

    Raises:
        DataError: if a set has fewer than 2 images, or features of another length.
    """
    x, y = (_rows(state, whose) for state, whose in ((generated, "judged"), (reference, "reference")))
    if x.shape[1] != y.shape[1]:
        raise DataError(f"expected features of one length; got {x.shape[1]} and {y.shape[1]}")
    size = min(size, len(x), len(y))
    if size == len(x) == len(y):
        subsets = 1
    picks = (
        _draw_subsets(len(x), size, subsets, seed, "judged"),
        _draw_subsets(len(y), size, subsets, seed, "reference"),
    )
    compare = _from_full_kernel if max(len(x), len(y)) <= _ALL_PAIRS else _from_subset_kernels
    found = compare(x, y, *picks)
    variance, theirs = found.parts.variances(len(x), len(y))
    if subsets > 1:
        variance += float(found.values.var()) / subsets
    shared = scale_to_variance(sum_by_group(found.weights), theirs)
    return Estimate(float(found.values.mean()), sqrt(variance), shared)


def polynomial(x: Tensor, y: Tensor) -> Tensor:
    """Return the cubic kernel of rows with rows, (N, M)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def _rows(state: State, whose: str) -> Tensor:
    found = count(state, "features")
    if found < 2:
        raise DataError(f"expected at least 2 {whose} images for an unbiased estimate; got {found}")
    features = state["features"]
    return features[canonical_order(features)]


def _draw_subsets(total: int, size: int, subsets: int, seed: int, purpose: str) -> Tensor:
    """Return the indices of each subset, (B, size): sampled without replacement, or all if it is the whole set."""
    if size == total:
        return torch.arange(total).expand(subsets, -1)
    generator = torch.Generator().manual_seed(derive_seed(seed, "kid", purpose))
    return torch.stack([torch.randperm(total, generator=generator)[:size] for _ in range(subsets)])


def _from_full_kernel(x: Tensor, y: Tensor, picks_x: Tensor, picks_y: Tensor) -> _SubsetEstimates:
    """Compute the estimates from the kernel of all pairs.

    The sum over a subset's pairs is a quadratic form of its indicator.
    """
    kernels = _Kernels.of(x, y)
    in_x, in_y = _indicators(len(x), picks_x), _indicators(len(y), picks_y)
    across = ((kernels.xy.T @ in_x) * in_y).sum(dim=0) / picks_x.shape[1] ** 2
    values = _mean_within(kernels.xx, in_x) + _mean_within(kernels.yy, in_y) - 2 * across
    weights = _weights(kernels)
    return _SubsetEstimates(values, _Parts.of(kernels, weights), weights[1])


def _from_subset_kernels(x: Tensor, y: Tensor, picks_x: Tensor, picks_y: Tensor) -> _SubsetEstimates:
    """Compute the estimates from the kernel of each subset: memory use does not grow with the sets."""
    whole = _indicators(picks_x.shape[1], torch.arange(picks_x.shape[1])[None])
    values, parts = [], []
    sums, counts = torch.zeros(2, len(y), dtype=torch.float64)
    for a, b in zip(picks_x, picks_y, strict=True):
        kernels = _Kernels.of(x[a], y[b])
        values.append(_mean_within(kernels.xx, whole) + _mean_within(kernels.yy, whole) - 2 * kernels.xy.mean())
        weights = _weights(kernels)
        parts.append(_Parts.of(kernels, weights))
        sums[b] += weights[1]
        counts[b] += 1
    own, pairs = (torch.stack(each).mean(dim=0) for each in zip(*parts, strict=True))
    return _SubsetEstimates(torch.cat(values), _Parts(own, pairs), sums / counts.clamp(min=1))


def _indicators(total: int, picks: Tensor) -> Tensor:
    """Return 1 where an image is in a subset and 0 elsewhere, (total, B)."""
    zeros = torch.zeros(total, len(picks), dtype=torch.float64)
    return zeros.scatter_(0, picks.T, 1.0)


def _mean_within(kernel: Tensor, indicators: Tensor) -> Tensor:
    """Return the mean kernel of the pairs of different images in each subset, (B,)."""
    size = indicators.sum(dim=0)
    pairs = kernel @ indicators - kernel.diagonal()[:, None]
    return (pairs * indicators).sum(dim=0) / (size * (size - 1))


def _weights(kernels: _Kernels) -> tuple[Tensor, Tensor]:
    """Return g of the images of both sets, (n,) and (m,)."""
    xx, yy, xy = kernels
    return 2 * (_mean_with_others(xx) - xy.mean(dim=1)), 2 * (_mean_with_others(yy) - xy.mean(dim=0))


def _centred_variance(kernel: Tensor, *, others: bool = False) -> Tensor:
    """Return the variance of a kernel's entries about their row and column means, (); `others` leaves out i = j."""
    if not others:
        apart = kernel - kernel.mean(dim=0) - kernel.mean(dim=1, keepdim=True) + kernel.mean()
        return apart.square().mean()
    means = _mean_with_others(kernel)
    apart = (kernel - means - means[:, None] + means.mean()).fill_diagonal_(0)
    return apart.square().sum() / (len(kernel) * (len(kernel) - 1))


def _mean_with_others(kernel: Tensor) -> Tensor:
    """Return each image's mean kernel with the others of its set."""
    return (kernel.sum(dim=1) - kernel.diagonal()) / (len(kernel) - 1)
