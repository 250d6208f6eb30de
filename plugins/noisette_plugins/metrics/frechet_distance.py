"""The Fréchet distance of the Gaussians with the moments of two sets, and its standard error.

With R a root of C_2 (Rᵀ R = C_2) and R C_1 Rᵀ = V s² Vᵀ, the squared distance (Dowson & Landau 1982) is

    d² = |mean_1 - mean_2|² + tr C_1 + tr C_2 - 2 sum(s).

To first order, it changes with each image x, x' = x - mean_1, by the image's influence

    g(x) = |x'|² - x'ᵀ T x' + 2 x'·(mean_1 - mean_2),   T = Rᵀ V s⁻¹ Vᵀ R,

where T transports the first Gaussian to the second (the derivative of tr (C_1^½ C_2 C_1^½)^½ by C_1 is T / 2).
The influence of a reference image is the same with T⁻¹ for T. Hence Var d² = Var g_1 / n + Var g_2 / m (the
infinitesimal jackknife, Efron 1982, section 6.3). With fewer images than dimensions, T is restricted to the span of
the images. For few vectors x_i of the first set, R x_i are the rows of an n x r matrix whose Gram matrix has the
same eigenvalues as R C_1 Rᵀ.

The influences are noisy, because R, T and the means are estimates. Where the two distributions are the same, the
influences are only noise, and the variance is twice too large (as with every jackknife, Efron & Stein 1981). For
Gaussians and 1 / k = 1 / n + 1 / m, the second-order part that is counted twice is

    W = (2 sum s_i² + sum s_i² / 4 + sum_ij (s_i s_j / (s_i + s_j))²) / k²,

from the second derivatives of the distance, |shift|² + sum_ij D_ij² / (2 (s_i + s_j)) for a difference D of the
covariances. W is subtracted, up to half of the variance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor

from noisette import DataError, Estimate
from noisette_plugins.metrics.feature_statistics import (
    CHUNK,
    TensorCache,
    gram,
    matmul_lower,
    merge_moments,
    moments,
    require_same_length,
    sample_count,
    scale_to_variance,
    sum_by_group,
)

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["Gaussian", "GaussianPair", "distance", "double_count_correction", "frechet", "influences"]

_SINGULAR = 1e-10
"""Cholesky pivots below this share of the largest variance are a sign of a singular covariance."""

ZERO = 1e-14
"""Eigenvalues below this share of the largest are rounded zeros."""


class Root(NamedTuple):
    """A root of a covariance C, and its inverse.

    Attributes:
        matrix: R, (r, D), Rᵀ R = C.
        kind: the Cholesky factor where C is far from singular; else the centred vectors where there are few; else
            the eigenvectors times the roots of the eigenvalues.
        inverse: one over the squared lengths of the rows of the last kind, (r,), 0 for zero rows.
    """

    matrix: Tensor
    kind: Literal["cholesky", "vectors", "eigenvectors"]
    inverse: Tensor | None = None

    def times(self, x: Tensor) -> Tensor:
        """Return R x for rows x, (n, r)."""
        return matmul_lower(x, self.matrix.T) if self.kind == "cholesky" else x @ self.matrix.T


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A set of at least 2 vectors of D dimensions.

    Attributes:
        count: number of vectors.
        mean: of all vectors, (D,) float64.
        vectors: all of them, or a sample, (k, D).
        scatter: sum of (x - mean)(x - mean)ᵀ over all vectors, (D, D) float64; None if `vectors` has all of them.
    """

    count: int
    mean: Tensor
    vectors: Tensor
    scatter: Tensor | None = None

    @classmethod
    def of(cls, state: State) -> Gaussian:
        """Create a Gaussian from a state of `sample`: the sample and the moments of the other vectors."""
        sample = state["sample"]
        if "scatter" not in state:
            return cls.of_rows(sample)
        whole = merge_moments(state, moments(sample))
        return cls(int(whole["count"]), whole["mean"], sample, whole["scatter"])

    @classmethod
    def of_rows(cls, rows: Tensor) -> Gaussian:
        """Create a Gaussian from vectors (n, D)."""
        return cls(len(rows), rows.mean(dim=0, dtype=torch.float64), rows)

    @property
    def rank(self) -> int:
        """The maximum number of eigenvalues of the covariance that can differ from zero."""
        return min(self.count - 1, len(self.mean))

    def centred(self) -> Iterator[Tensor]:
        """Yield the centred vectors, float64, in parts (n, D) of bounded size; a single part is cached."""
        if len(self.vectors) <= CHUNK:
            yield self._centred
        else:
            yield from (part - self.mean for part in torch.split(self.vectors, CHUNK))

    @cached_property
    def _centred(self) -> Tensor:
        return self.vectors - self.mean

    @cached_property
    def variance(self) -> Tensor:
        """The trace of the covariance."""
        if self.scatter is not None:
            return self.scatter.trace() / (self.count - 1)
        return torch.stack([part.square().sum() for part in self.centred()]).sum() / (self.count - 1)

    def covariance(self) -> Tensor:
        """Return the covariance, (D, D)."""
        scatter = sum(map(gram, self.centred())) if self.scatter is None else self.scatter
        return torch.as_tensor(scatter) / (self.count - 1)

    @cached_property
    def root(self) -> Root:
        """The root of the covariance."""
        if self.scatter is None and self.count <= min(len(self.mean), CHUNK):
            return Root(self._centred / sqrt(self.count - 1), "vectors")
        covariance = self.covariance()
        if self.rank == len(covariance):
            lower, failed = torch.linalg.cholesky_ex(covariance)
            if not failed and lower.diagonal().min().square() > _SINGULAR * covariance.diagonal().max():
                return Root(lower.T, "cholesky")
        values, vectors = torch.linalg.eigh(covariance)
        values = values.clamp(min=0)
        there = values >= ZERO * values[-1]
        values, vectors = values[there], vectors.T[there]
        inverse = torch.where(values > 0, 1 / values, 0.0)
        return Root(vectors * values.sqrt()[:, None], "eigenvectors", inverse)

    def whitened(self) -> Iterator[Tensor]:
        """Yield the whitened vectors (with the identity as covariance), (n, r), in parts like `centred`."""
        yield from [self._whitened] if len(self.vectors) <= CHUNK else map(self._whiten, self.centred())

    @cached_property
    def _whitened(self) -> Tensor:
        return self._whiten(self._centred)

    def _whiten(self, x: Tensor) -> Tensor:
        matrix, kind, inverse = self.root
        if kind == "vectors":  # each vector is a row of R, and R maps it to a corner of a simplex
            return sqrt(self.count - 1) * (torch.eye(self.count, dtype=torch.float64) - 1 / self.count)
        if inverse is None:
            white: Tensor = torch.linalg.solve_triangular(matrix.T, x.T, upper=False)
            return white.T
        return x @ matrix.T * inverse


_LEADING, _BESIDE = 256, 16
"""Eigenvectors used for the error if there are more than twice as many, and extra ones for the iteration."""

_ROUNDED = 1e-15
"""Values of s² below this share of the largest are rounded zeros."""

_NOTHING = 1e-12
"""If the other eigenvectors have less than this share of the sum of s², it is only rounding error."""


class Transport(NamedTuple):
    """The eigenvectors, or only those with the largest eigenvalues.

    Attributes:
        scales: s, (k,), none of them zero.
        rotation: V, (r, k).
        rest: values used for 1 / s and s of all other eigenvectors, as if these were equal; they preserve the means
            of both. (0, 0) if there are none.
    """

    scales: Tensor
    rotation: Tensor
    rest: tuple[float, float] = (0.0, 0.0)

    def forward_quadratic(self, projected: Tensor) -> Tensor:
        """Return xᵀ T x for rows R x, (n, r)."""
        rotated = (projected @ self.rotation).square()
        return (rotated / self.scales).sum(dim=1) + self.rest[0] * (
            projected.square().sum(dim=1) - rotated.sum(dim=1)
        )

    def inverse_quadratic(self, white: Tensor) -> Tensor:
        """Return yᵀ T⁻¹ y for whitened rows y, (m, r)."""
        rotated = (white @ self.rotation).square()
        return (rotated * self.scales).sum(dim=1) + self.rest[1] * (white.square().sum(dim=1) - rotated.sum(dim=1))


@dataclass(frozen=True, eq=False)
class GaussianPair:
    """Two Gaussians, with cached results."""

    ours: Gaussian
    theirs: Gaussian

    @cached_property
    def shift(self) -> Tensor:
        """Difference of the means, (D,)."""
        return self.ours.mean - self.theirs.mean

    @cached_property
    def projected(self) -> Tensor | None:
        """R x for all centred vectors x of the first set, (n, r); None where there are many."""
        if self.ours.scatter is not None or self.ours.count > CHUNK:
            return None
        return self.theirs.root.times(next(self.ours.centred()))

    def iter_projected(self) -> Iterator[Tensor]:
        """Yield R x for the stored vectors x of the first set, (n, r)."""
        yield from map(self.theirs.root.times, self.ours.centred()) if self.projected is None else [self.projected]

    @cached_property
    def product(self) -> Tensor:
        """A matrix with the eigenvalues s²: R C_1 Rᵀ, (r, r), or the Gram matrix of fewer vectors, (n, n)."""
        if self.projected is None:
            root = self.theirs.root
            return root.times(root.times(self.ours.covariance()).T)
        rows = self.projected if len(self.projected) > self.projected.shape[1] else self.projected.T
        return gram(rows) / (self.ours.count - 1)

    @cached_property
    def squares(self) -> Tensor:
        """s², ascending, without values that must be zero or are rounded zeros."""
        shared = min(self.ours.rank, self.theirs.rank, len(self.theirs.root.matrix))
        values: Tensor = torch.linalg.eigvalsh(self.product)
        return torch.where(values > _ROUNDED * values[-1], values, 0.0)[-shared:]

    @cached_property
    def transport(self) -> Transport:
        """The transport from the first to the second, by all eigenvectors or, where there are many, the largest."""
        number = len(self.squares)
        if number <= 2 * _LEADING or not self.squares[-1]:
            values, vectors = torch.linalg.eigh(self.product)
        else:
            number, (values, vectors) = _LEADING, _leading(self.product, self.squares[-1])
        values, vectors = values[-number:], vectors[:, -number:]
        kept = values > ZERO * values[-1]
        scales, rotation = values[kept].sqrt(), vectors[:, kept]
        if self.projected is not None and len(self.projected) == len(self.product):  # of the Gram matrix
            rotation = self.projected.T @ rotation / (scales * sqrt(self.ours.count - 1))
        return Transport(scales, rotation, self._rest(scales, number))

    def _rest(self, scales: Tensor, number: int) -> tuple[float, float]:
        """Return the values that replace 1 / s and s for all but `number` of the eigenvectors."""
        others = len(self.squares) - number
        left = max(0.0, float(self.squares.sqrt().sum() - scales.sum()))
        squares = float(self.squares.sum() - scales.square().sum())
        if not others or squares <= _NOTHING * float(self.squares.sum()):
            return 0.0, 0.0
        return left / squares, left / others


def _leading(matrix: Tensor, largest: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest eigenvalues of a matrix (r, r), ascending, (k,), and their eigenvectors, (r, k).

    The variance weighs eigenvectors by s², so the others hardly matter. For this, one iteration in float32 is
    enough (subspace iteration; Halko, Martinsson & Tropp 2011, algorithm 4.4). It is not enough to tell a small
    remainder from zero.
    """
    single = (matrix / largest).to(torch.float32)
    start = torch.randn(len(matrix), _LEADING + _BESIDE, generator=torch.Generator().manual_seed(0))
    basis = single @ torch.linalg.qr(single @ start).Q
    basis = torch.linalg.qr(basis.to(torch.float64)).Q
    values, rotation = torch.linalg.eigh(basis.T @ (matrix @ basis))
    return values, basis @ rotation


_REFERENCES = TensorCache()
"""All rows of a table have the same reference: its root and whitened vectors are computed once."""


def frechet(generated: State, reference: State) -> Estimate:
    """Return the squared distance of two sets with its standard error, the latter from a sample of each.

    Args:
        generated: statistics returned by `sample`.
        reference: statistics of the reference set.

    Raises:
        DataError: if a set has fewer than 2 vectors, or vectors of another length.
    """
    for state, whose in ((generated, "judged"), (reference, "reference")):
        if sample_count(state) < 2:
            raise DataError(f"expected at least 2 {whose} images for a covariance; got {sample_count(state)}")
    require_same_length(generated["sample"], reference["sample"])
    theirs: Gaussian = _REFERENCES.get(reference["sample"], "gaussian", lambda: Gaussian.of(reference))
    pair = GaussianPair(Gaussian.of(generated), theirs)
    ours, others = influences(pair)
    from_theirs = float(others.var()) / theirs.count
    raw = float(ours.var()) / pair.ours.count + from_theirs
    once = double_count_correction(pair, raw)
    return Estimate(distance(pair), sqrt(raw * once), scale_to_variance(sum_by_group(others), from_theirs * once))


def double_count_correction(pair: GaussianPair, raw: float) -> float:
    """Return the share of the influences' variance that remains without the part counted twice."""
    s, weight = pair.squares.sqrt(), 1 / pair.ours.count + 1 / pair.theirs.count
    s = s[s > 0]
    crossed = s[:, None] * s / (s[:, None] + s)
    twice = float(9 / 4 * s.square().sum() + crossed.square().sum()) * weight**2
    return max(0.5, 1 - twice / raw) if raw else 1.0


def distance(pair: GaussianPair) -> float:
    """Return the squared distance; never negative."""
    traces = pair.ours.variance + pair.theirs.variance
    return max(0.0, float(pair.shift.square().sum() + traces - 2 * pair.squares.sqrt().sum()))


def influences(pair: GaussianPair) -> tuple[Tensor, Tensor]:
    """Return the influences g of the stored vectors of both sets, each up to a constant.

    Returns:
        (n,) for the generated and (m,) for the reference vectors.
    """
    ours, theirs, shift = pair.ours, pair.theirs, pair.shift
    forward_quadratic = [pair.transport.forward_quadratic(projected) for projected in pair.iter_projected()]
    inverse_quadratic = [pair.transport.inverse_quadratic(white) for white in theirs.whitened()]
    from_ours = [x.square().sum(dim=1) + 2 * x @ shift for x in ours.centred()]
    from_theirs = [y.square().sum(dim=1) - 2 * y @ shift for y in theirs.centred()]
    return torch.cat(from_ours) - torch.cat(forward_quadratic), torch.cat(from_theirs) - torch.cat(
        inverse_quadratic
    )
