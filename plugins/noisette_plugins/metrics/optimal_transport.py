"""Optimal transport between two Gaussians, by the eigenvectors of the product of their covariances.

The notation is that of `frechet_distance`: R a root of C_2, Rᵀ R = C_2, and R C_1 Rᵀ = V s² Vᵀ. For few vectors x_i
of the first set, R x_i are the rows of an n x r matrix whose Gram matrix has the same eigenvalues.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from noisette_plugins.metrics.feature_statistics import CHUNK, gram
from noisette_plugins.metrics.gaussian import ZERO, Gaussian

__all__ = ["GaussianPair", "Transport"]

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
