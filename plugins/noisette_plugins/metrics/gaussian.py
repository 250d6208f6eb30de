"""A set of vectors as a Gaussian: its mean, its covariance, and roots of the covariance."""

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
