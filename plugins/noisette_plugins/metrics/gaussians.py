"""The Fréchet distance of the Gaussians that have the moments of two sets, and its standard error.

With R the root of C_2 (Rᵀ R = C_2) and R C_1 Rᵀ = V s² Vᵀ the squared distance (Dowson & Landau 1982) is

    d² = |mean_1 - mean_2|² + tr C_1 + tr C_2 - 2 sum(s).

To first order it moves with each picture x, x' = x - mean_1, by the picture's influence

    g(x) = |x'|² - x'ᵀ T x' + 2 x'·(mean_1 - mean_2),   T = Rᵀ V s⁻¹ Vᵀ R,

where T carries the first Gaussian to the second (the derivative of tr (C_1^½ C_2 C_1^½)^½ by C_1 is T / 2), and
with each reference picture likewise, T⁻¹ for T. Hence Var d² = Var g_1 / n + Var g_2 / m (the infinitesimal
jackknife, Efron 1982, section 6.3). With fewer pictures than dimensions T is that of the span of the pictures,
where they all lie.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from noisette import DataError, Estimate
from noisette_plugins.metrics.memory import Memory
from noisette_plugins.metrics.moments import CHUNK, moments_of_many, rank, same_length

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["distance_of_rows", "frechet", "frechet_distance", "influences"]

_ZERO = 1e-14
"""Share of the largest eigenvalue below which one is taken for a zero that was rounded."""


class _Transport(NamedTuple):
    """How two Gaussians lie to each other.

    Attributes:
        root: R, (r, D).
        inverse: one over the eigenvalues of C_2, (r,), 0 for those that are zero.
        scales: s, (k,), descending from none that is zero.
        turn: V, (r, k).
        shift: mean_1 - mean_2, (D,).
    """

    root: Tensor
    inverse: Tensor
    scales: Tensor
    turn: Tensor
    shift: Tensor


def frechet(generated: State, reference: State) -> Estimate:
    """Return the squared distance of two sets with its standard error, the latter from their samples.

    Args:
        generated: count, mean, scatter, and a sample of the vectors.
        reference: the same of the others.

    Raises:
        DataError: if a set has fewer than 2 vectors, or vectors of another length.
    """
    _check(generated, reference)
    transport, overlap = _transport(generated, reference)
    ours, theirs = _influences(transport, generated, reference)
    variance = ours.var() / int(generated["count"]) + theirs.var() / int(reference["count"])
    return Estimate(_distance(generated, reference, overlap), sqrt(float(variance)))


def frechet_distance(generated: State, reference: State) -> float:
    """Return the squared distance of two sets of at least 2 vectors; never negative.

    A covariance of n vectors has at most n - 1 eigenvalues that are not zero. Those that must be zero are left
    out, not rounded: with fewer vectors than dimensions as many digits are right as with more.

    Raises:
        DataError: if a set has fewer than 2 vectors, or vectors of another length.
    """
    _check(generated, reference)
    root, _ = _root(reference)
    values = torch.linalg.eigvalsh(_inner(root, generated))
    return _distance(generated, reference, values[-_shared(values, generated) :].clamp(min=0).sqrt().sum())


def distance_of_rows(rows: Tensor, reference: State) -> float:
    """Return the squared distance of some vectors (n, D) to a set; quicker where they are few.

    Raises:
        DataError: if a set has fewer than 2 vectors, or vectors of another length.
    """
    root, _ = _root(reference)
    if len(rows) >= len(root):
        return frechet_distance(moments_of_many(rows), reference)
    mean = rows.mean(dim=0, dtype=torch.float64)
    centred = (rows - mean) / sqrt(len(rows) - 1)
    inner = centred @ root.T  # its products with itself have the eigenvalues of R C_1 Rᵀ
    overlap = torch.linalg.eigvalsh(inner @ inner.T)[1:].clamp(min=0).sqrt().sum()
    shift = (mean - reference["mean"]).square().sum()
    spread = centred.square().sum() + reference["scatter"].trace() / (int(reference["count"]) - 1)
    return max(0.0, float(shift + spread - 2 * overlap))


def influences(generated: State, reference: State) -> tuple[Tensor, Tensor]:
    """Return the influences g of the sampled vectors of both sets, (n,) and (m,), each apart from a constant.

    Raises:
        DataError: if a set has fewer than 2 vectors, or vectors of another length.
    """
    _check(generated, reference)
    return _influences(_transport(generated, reference)[0], generated, reference)


def _influences(transport: _Transport, generated: State, reference: State) -> tuple[Tensor, Tensor]:
    root, inverse, scales, turn, shift = transport

    def ours(x: Tensor) -> Tensor:
        ahead = ((x @ root.T @ turn).square() / scales).sum(dim=1)
        return x.square().sum(dim=1) - ahead + 2 * x @ shift

    def theirs(x: Tensor) -> Tensor:
        back = (((x @ root.T * inverse) @ turn).square() * scales).sum(dim=1)
        return x.square().sum(dim=1) - back - 2 * x @ shift

    return _each(ours, generated), _each(theirs, reference)


def _each(influence: Callable[[Tensor], Tensor], state: State) -> Tensor:
    return torch.cat([influence(part - state["mean"]) for part in state["sample"].split(CHUNK)])


def _check(generated: State, reference: State) -> None:
    """Refuse what has no covariance, or another length.

    Raises:
        DataError: if a set has fewer than 2 vectors, or vectors of another length.
    """
    for state, whose in ((generated, "judged"), (reference, "reference")):
        found = int(state["count"]) if state else 0
        if found < 2:
            raise DataError(f"expected at least 2 {whose} pictures for a covariance; got {found}")
    same_length(generated, reference)


_ROOTS = Memory()
"""Roots of reference covariances: every row of a table is compared with the same one."""


def _root(state: State) -> tuple[Tensor, Tensor]:
    """Return R (r, D) with Rᵀ R the covariance, and one over the squared lengths of its rows (r,).

    R has eigenvectors in rows, times the roots of their eigenvalues.
    """
    found: tuple[Tensor, Tensor] = _ROOTS.get(state["scatter"], "root", lambda: _root_of(state))
    return found


def _root_of(state: State) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(state["scatter"] / (int(state["count"]) - 1))
    values, vectors = values[-rank(state) :].clamp(min=0), vectors.T[-rank(state) :]
    inverse = torch.where(values > _ZERO * values[-1], 1 / values, 0.0)
    return vectors * values.sqrt()[:, None], inverse


def _transport(generated: State, reference: State) -> tuple[_Transport, Tensor]:
    """Return how the sets lie to each other, and the sum of all s."""
    root, inverse = _root(reference)
    few = int(generated["count"]) <= len(root) and len(generated["sample"]) == int(generated["count"])
    values, vectors = _of_rows(root, generated) if few else torch.linalg.eigh(_inner(root, generated))
    shared = _shared(values, generated)
    values, vectors = values[-shared:].clamp(min=0), vectors[:, -shared:]
    scales = values.sqrt()
    kept = values > _ZERO * values[-1]
    shift = generated["mean"] - reference["mean"]
    return _Transport(root, inverse, scales[kept], vectors[:, kept], shift), scales.sum()


def _of_rows(root: Tensor, state: State) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues of R C_1 Rᵀ, ascending, and its eigenvectors (r, n), from the few vectors themselves.

    Their products with one another have the same eigenvalues, where they are not zero.
    """
    rows = (state["sample"] - state["mean"]) @ root.T / sqrt(int(state["count"]) - 1)
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    scales = values.clamp(min=0).sqrt()
    return values, rows.T @ vectors / torch.where(scales > 0, scales, 1.0)


def _inner(root: Tensor, state: State) -> Tensor:
    """Return R C Rᵀ, (r, r), for the covariance C of a set."""
    return root @ (state["scatter"] @ root.T) / (int(state["count"]) - 1)


def _shared(values: Tensor, state: State) -> int:
    """Return how many eigenvalues of R C Rᵀ can differ from zero."""
    return min(len(values), rank(state))


def _distance(generated: State, reference: State, overlap: Tensor) -> float:
    shift = (generated["mean"] - reference["mean"]).square().sum()
    traces = [state["scatter"].trace() / (int(state["count"]) - 1) for state in (generated, reference)]
    return max(0.0, float(shift + traces[0] + traces[1] - 2 * overlap))
