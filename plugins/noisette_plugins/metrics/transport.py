"""How two Gaussians lie to each other: roots of covariances, and the eigenvectors of their product.

The notation is that of `gaussians`: R a root of C_2, Rᵀ R = C_2, and R C_1 Rᵀ = V s² Vᵀ.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor

from noisette_plugins.metrics.memory import Memory
from noisette_plugins.metrics.moments import CHUNK, rank

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["Root", "Transport", "inner_of", "root_of", "shared", "transport_of"]

_SINGULAR = 1e-10
"""Share of the largest variance below which a pivot of Cholesky is taken for a sign of dimensions that are none."""

_LEADING, _BESIDE = 256, 16
"""Eigenvectors that the error is told by, of more than twice as many, and those that help to find them."""

_ZERO = 1e-14
"""Share of the largest eigenvalue below which one is taken for a zero that was rounded."""


class Root(NamedTuple):
    """A root of C_2 and how to undo it.

    Attributes:
        root: R, (r, D), Rᵀ R = C_2.
        kind: of Cholesky where C_2 is far from singular; else the vectors themselves about their mean where they
            are few; else its eigenvectors times the roots of the eigenvalues.
        inverse: one over the squared lengths of the rows of the last kind, (r,), 0 for those that are zero.
    """

    root: Tensor
    kind: Literal["cholesky", "vectors", "eigenvectors"]
    inverse: Tensor | None = None

    def whitened(self, state: State) -> Iterator[Tensor]:
        """Yield the sampled vectors, about their mean, as they are where C_2 is the unit matrix, (n, r)."""
        if self.kind == "vectors":  # each is a row of R, and R carries it to a corner of a simplex
            count = len(self.root)
            yield sqrt(count - 1) * (torch.eye(count, dtype=torch.float64) - 1 / count)
            return
        for part in torch.split(state["sample"], CHUNK):
            x = part - state["mean"]
            if self.inverse is None:
                yield torch.linalg.solve_triangular(self.root.T, x.T, upper=False).T
            else:
                yield x @ self.root.T * self.inverse


class Transport(NamedTuple):
    """How two Gaussians lie to each other: s and V, of which there may be the largest alone.

    Attributes:
        scales: s, (k,), none of them zero.
        turn: V, (r, k).
        rest: s of all others as if they were equal, so that the means of s and of one over s are right; (0, 0)
            for none.
    """

    scales: Tensor
    turn: Tensor
    rest: tuple[float, float] = (0.0, 0.0)

    def ahead(self, seen: Tensor) -> Tensor:
        """Return xᵀ T x for rows R x, (n, r)."""
        turned = (seen @ self.turn).square()
        return (turned / self.scales).sum(dim=1) + self.rest[0] * (seen.square().sum(dim=1) - turned.sum(dim=1))

    def back(self, white: Tensor) -> Tensor:
        """Return yᵀ T⁻¹ y for whitened rows y, (m, r)."""
        turned = (white @ self.turn).square()
        return (turned * self.scales).sum(dim=1) + self.rest[1] * (white.square().sum(dim=1) - turned.sum(dim=1))


_ROOTS = Memory()
"""Every row of a table is compared with the same reference."""


def root_of(state: State) -> Root:
    """Return the root of a set's covariance, remembered as long as the set's statistics are."""
    found: Root = _ROOTS.get(state["scatter"], "root", lambda: _made(state))
    return found


def _made(state: State) -> Root:
    covariance = state["scatter"] / (int(state["count"]) - 1)
    if rank(state) == len(covariance):
        lower, failed = torch.linalg.cholesky_ex(covariance)
        if not failed and lower.diagonal().min().square() > _SINGULAR * covariance.diagonal().max():
            return Root(lower.T, "cholesky")
    if complete(state) and int(state["count"]) <= len(covariance):
        return Root((state["sample"] - state["mean"]) / sqrt(int(state["count"]) - 1), "vectors")
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values[-rank(state) :].clamp(min=0), vectors.T[-rank(state) :]
    inverse = torch.where(values > _ZERO * values[-1], 1 / values, 0.0)
    return Root(vectors * values.sqrt()[:, None], "eigenvectors", inverse)


def complete(state: State) -> bool:
    """Return whether the sample is all vectors of the set."""
    return "sample" in state and len(state["sample"]) == int(state["count"])


def transport_of(generated: State, reference: State) -> tuple[Transport, Tensor]:
    """Return how the sets lie to each other, and the sum of all s."""
    root = root_of(reference).root
    if int(generated["count"]) <= min(len(root), 2 * _LEADING) and complete(generated):
        values, vectors = _of_rows(root, generated)
    else:
        inner = inner_of(root, generated)
        if shared(generated, reference) > 2 * _LEADING:
            return _leading(inner, shared(generated, reference))
        values, vectors = torch.linalg.eigh(inner)
    most = shared(generated, reference)
    values, vectors = values[-most:].clamp(min=0), vectors[:, -most:]
    kept = values > _ZERO * values[-1]
    return Transport(values[kept].sqrt(), vectors[:, kept]), values.sqrt().sum()


def _leading(inner: Tensor, most: int) -> tuple[Transport, Tensor]:
    """Return the same with the largest s alone: as s² is what they weigh in the variance, the others hardly do.

    Eigenvalues without vectors take a third of the time. The vectors come from repeated products (subspace
    iteration; Halko, Martinsson & Tropp 2011, algorithm 4.4).
    """
    values = torch.linalg.eigvalsh(inner)
    values = values[-most:].clamp(min=0)
    start = torch.randn(
        len(inner), _LEADING + _BESIDE, generator=torch.Generator().manual_seed(0), dtype=inner.dtype
    )
    basis = torch.linalg.qr(inner @ start).Q
    for _ in range(3):
        basis = torch.linalg.qr(inner @ basis).Q
    found, turn = torch.linalg.eigh(basis.T @ inner @ basis)
    found, turn = found[-_LEADING:], turn[:, -_LEADING:]
    kept = found > _ZERO * found[-1]
    scales, turn = found[kept].sqrt(), basis @ turn[:, kept]
    sums = values.sqrt().sum()
    left, squares = max(0.0, float(sums - scales.sum())), float(values.sum() - scales.square().sum())
    ahead = left / squares if squares > _ZERO * float(values.sum()) else 0.0
    return Transport(scales, turn, (ahead, left / (most - _LEADING))), sums


def _of_rows(root: Tensor, state: State) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues of R C_1 Rᵀ, ascending, and its eigenvectors (r, n), from the few vectors themselves.

    Their products with one another have the same eigenvalues, where they are not zero.
    """
    rows = (state["sample"] - state["mean"]) @ root.T / sqrt(int(state["count"]) - 1)
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    scales = values.clamp(min=0).sqrt()
    return values, rows.T @ vectors / torch.where(scales > 0, scales, 1.0)


def inner_of(root: Tensor, state: State) -> Tensor:
    """Return R C Rᵀ, (r, r), for the covariance C of a set."""
    return root @ (state["scatter"] @ root.T) / (int(state["count"]) - 1)


def shared(generated: State, reference: State) -> int:
    """Return how many eigenvalues of R C_1 Rᵀ can differ from zero."""
    return min(rank(generated), rank(reference))
