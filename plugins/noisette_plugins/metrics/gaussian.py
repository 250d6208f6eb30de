"""A set of vectors as a Gaussian: its mean and covariance, and roots of the latter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor

from noisette_plugins.metrics.feature_statistics import CHUNK, gram, matmul_lower, merge_moments, moments

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["ZERO", "Gaussian", "Root"]

_SINGULAR = 1e-10
"""Share of the largest variance below which a pivot of Cholesky is taken for a sign of dimensions that are none."""

ZERO = 1e-14
"""Share of the largest eigenvalue below which one is taken for a zero that was rounded."""


class Root(NamedTuple):
    """A root of a covariance C and how to undo it.

    Attributes:
        matrix: R, (r, D), Rᵀ R = C.
        kind: of Cholesky where C is far from singular; else the vectors themselves about their mean where they
            are few; else its eigenvectors times the roots of the eigenvalues.
        inverse: one over the squared lengths of the rows of the last kind, (r,), 0 for those that are zero.
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
        count: how many they are.
        mean: of all of them, (D,) float64.
        vectors: all of them, or a sample, (k, D).
        scatter: sum of (x - mean)(x - mean)ᵀ over all of them, (D, D) float64; None where `vectors` are all.
    """

    count: int
    mean: Tensor
    vectors: Tensor
    scatter: Tensor | None = None

    @classmethod
    def of(cls, state: State) -> Gaussian:
        """Return that of a state of `sample`: the sample and the moments of the others."""
        sample = state["sample"]
        if "scatter" not in state:
            return cls.of_rows(sample)
        whole = merge_moments(state, moments(sample))
        return cls(int(whole["count"]), whole["mean"], sample, whole["scatter"])

    @classmethod
    def of_rows(cls, rows: Tensor) -> Gaussian:
        """Return that of some vectors (n, D)."""
        return cls(len(rows), rows.mean(dim=0, dtype=torch.float64), rows)

    @property
    def rank(self) -> int:
        """How many eigenvalues of the covariance can differ from zero."""
        return min(self.count - 1, len(self.mean))

    def centred(self) -> Iterator[Tensor]:
        """Yield the vectors about the mean, float64, in parts (n, D) of bounded size; a single one is kept."""
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
        """Yield the vectors as they are where the covariance is the unit matrix, (n, r), likewise."""
        yield from [self._whitened] if len(self.vectors) <= CHUNK else map(self._whiten, self.centred())

    @cached_property
    def _whitened(self) -> Tensor:
        return self._whiten(self._centred)

    def _whiten(self, x: Tensor) -> Tensor:
        matrix, kind, inverse = self.root
        if kind == "vectors":  # each is a row of R, and R carries it to a corner of a simplex
            return sqrt(self.count - 1) * (torch.eye(self.count, dtype=torch.float64) - 1 / self.count)
        if inverse is None:
            white: Tensor = torch.linalg.solve_triangular(matrix.T, x.T, upper=False)
            return white.T
        return x @ matrix.T * inverse
