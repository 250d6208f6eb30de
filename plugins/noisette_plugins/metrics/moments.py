"""Mean and covariance of streams of vectors, and the Fréchet distance of the Gaussians that have them.

Two sets merge without loss of digits (Chan, Golub & LeVeque 1979): with n = n_a + n_b and d = mean_b - mean_a,

    mean = mean_a + d n_b / n,   scatter = scatter_a + scatter_b + d dᵀ n_a n_b / n,

where scatter is the sum of (x - mean)(x - mean)ᵀ and the covariance scatter / (n - 1). The distance
(Dowson & Landau 1982) is

    |mean_1 - mean_2|² + tr C_1 + tr C_2 - 2 tr (C_1^½ C_2 C_1^½)^½.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette import DataError
from noisette_plugins.metrics.memory import Memory

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["frechet_distance", "merged", "moments"]


def moments(features: Tensor) -> State:
    """Return count (), mean (D,) and scatter (D, D) of features (N, D), in float64; `{}` for no rows."""
    if not len(features):
        return {}
    rows = features.to(torch.float64)
    mean = rows.mean(dim=0)
    centred = rows - mean
    return {"count": torch.tensor(len(rows)), "mean": mean, "scatter": centred.T @ centred}


def merged(a: State, b: State) -> State:
    """Return the moments of two sets together.

    Raises:
        DataError: if their vectors have different lengths.
    """
    if not a or not b:
        return dict(a or b)
    _same_length(a, b)
    n_a, n_b = int(a["count"]), int(b["count"])
    total = n_a + n_b
    step = b["mean"] - a["mean"]
    scatter = a["scatter"] + b["scatter"] + torch.outer(step, step) * (n_a * n_b / total)
    return {"count": torch.tensor(total), "mean": a["mean"] + step * (n_b / total), "scatter": scatter}


def frechet_distance(generated: State, reference: State) -> float:
    """Return the squared Fréchet distance of two sets of at least 2 vectors; never negative.

    A covariance of n vectors has at most n - 1 eigenvalues that are not zero. Those that must be zero are left
    out, not rounded: with fewer vectors than dimensions as many digits are right as with more.

    Raises:
        DataError: if a set has fewer than 2 vectors, or vectors of another length.
    """
    for state, whose in ((generated, "judged"), (reference, "reference")):
        found = int(state["count"]) if state else 0
        if found < 2:
            raise DataError(f"expected at least 2 {whose} pictures for a covariance; got {found}")
    _same_length(generated, reference)
    root: Tensor = _ROOTS.get(reference["scatter"], "root", lambda: _root(reference))
    covariance = generated["scatter"] / (int(generated["count"]) - 1)
    overlap = torch.linalg.eigvalsh(root @ covariance @ root.T)
    largest = overlap[-min(len(overlap), _rank(generated)) :].clamp(min=0).sqrt().sum() if len(overlap) else 0.0
    shift = (generated["mean"] - reference["mean"]).square().sum()
    spread = covariance.trace() + reference["scatter"].trace() / (int(reference["count"]) - 1)
    return max(0.0, float(shift + spread - 2 * largest))


_ROOTS = Memory()
"""Roots of reference covariances: every row of a table is compared with the same one."""


def _root(state: State) -> Tensor:
    """Return R (rank, D) with Rᵀ R the covariance: eigenvectors in rows, times the roots of their eigenvalues."""
    values, vectors = torch.linalg.eigh(state["scatter"] / (int(state["count"]) - 1))
    rank = _rank(state)
    root: Tensor = vectors.T[-rank:] * values[-rank:].clamp(min=0).sqrt()[:, None]
    return root


def _rank(state: State) -> int:
    """Return how many eigenvalues of the covariance can differ from zero."""
    return min(int(state["count"]) - 1, len(state["mean"]))


def _same_length(a: State, b: State) -> None:
    if a["mean"].shape != b["mean"].shape:
        raise DataError(f"expected features of one length; got {len(a['mean'])} and {len(b['mean'])}")
