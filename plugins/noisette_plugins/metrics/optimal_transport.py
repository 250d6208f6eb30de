"""How two Gaussians lie to each other, by the eigenvectors of the product of their covariances.

The notation is that of `frechet_distance`: R a root of C_2, Rᵀ R = C_2, and R C_1 Rᵀ = V s² Vᵀ. Of few vectors x_i
of the first set, R x_i are the rows of an n x r matrix whose products among themselves have the same eigenvalues.
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
"""Eigenvectors that the error is told by, of more than twice as many, and those that help to find them."""

_ROUNDED = 1e-15
"""Share of the largest s² below which one is a zero that was rounded."""

_NOTHING = 1e-12
"""Share of all s² below which those of the other eigenvectors are no more than what the largest leave over."""


class Transport(NamedTuple):
    """The eigenvectors, of which there may be the largest alone.

    Attributes:
        scales: s, (k,), none of them zero.
        turn: V, (r, k).
        rest: s of all others as if they were equal, so that the means of s and of one over s are right; (0, 0)
            for none.
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
    """Two Gaussians; what is computed of them is kept."""

    ours: Gaussian
    theirs: Gaussian

    @cached_property
    def shift(self) -> Tensor:
        """Difference of the means, (D,)."""
        return self.ours.mean - self.theirs.mean

    @cached_property
    def projected(self) -> Tensor | None:
        """R x for all vectors x of the first set about their mean, (n, r); None where they are many."""
        if self.ours.scatter is not None or self.ours.count > CHUNK:
            return None
        return self.theirs.root.times(next(self.ours.centred()))

    def iter_projected(self) -> Iterator[Tensor]:
        """Yield R x for the vectors x of the first set that are there, (n, r)."""
        yield from map(self.theirs.root.times, self.ours.centred()) if self.projected is None else [self.projected]

    @cached_property
    def product(self) -> Tensor:
        """What has the eigenvalues s²: R C_1 Rᵀ, (r, r), or the products of fewer vectors, (n, n)."""
        if self.projected is None:
            root = self.theirs.root
            return root.times(root.times(self.ours.covariance()).T)
        rows = self.projected if len(self.projected) > self.projected.shape[1] else self.projected.T
        return gram(rows) / (self.ours.count - 1)

    @cached_property
    def squares(self) -> Tensor:
        """s², ascending, as many as can differ from zero: the others are left out, and so is what rounding made."""
        shared = min(self.ours.rank, self.theirs.rank, len(self.theirs.root.matrix))
        values: Tensor = torch.linalg.eigvalsh(self.product)
        return torch.where(values > _ROUNDED * values[-1], values, 0.0)[-shared:]

    @cached_property
    def transport(self) -> Transport:
        """How the first is carried to the second: by all eigenvectors or, where they are many, the largest."""
        number = len(self.squares)
        if number <= 2 * _LEADING or not self.squares[-1]:
            values, vectors = torch.linalg.eigh(self.product)
        else:
            number, (values, vectors) = _LEADING, _leading(self.product, self.squares[-1])
        values, vectors = values[-number:], vectors[:, -number:]
        kept = values > ZERO * values[-1]
        scales, rotation = values[kept].sqrt(), vectors[:, kept]
        if self.projected is not None and len(self.projected) == len(self.product):  # they are those of few vectors
            rotation = self.projected.T @ rotation / (scales * sqrt(self.ours.count - 1))
        return Transport(scales, rotation, self._rest(scales, number))

    def _rest(self, scales: Tensor, number: int) -> tuple[float, float]:
        """Return what stands for one over s and for s of all but so many of the eigenvectors."""
        others = len(self.squares) - number
        left = max(0.0, float(self.squares.sqrt().sum() - scales.sum()))
        squares = float(self.squares.sum() - scales.square().sum())
        if not others or squares <= _NOTHING * float(self.squares.sum()):
            return 0.0, 0.0
        return left / squares, left / others


def _leading(matrix: Tensor, largest: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest eigenvalues of a matrix (r, r), ascending, (k,), and their vectors, (r, k).

    As s² is what they weigh in the variance, the others hardly do. One repeated product in float32 is enough for
    that (subspace iteration; Halko, Martinsson & Tropp 2011, algorithm 4.4), not for telling what is left from
    nothing.
    """
    single = (matrix / largest).to(torch.float32)
    start = torch.randn(len(matrix), _LEADING + _BESIDE, generator=torch.Generator().manual_seed(0))
    basis = single @ torch.linalg.qr(single @ start).Q
    basis = torch.linalg.qr(basis.to(torch.float64)).Q
    values, rotation = torch.linalg.eigh(basis.T @ (matrix @ basis))
    return values, basis @ rotation
