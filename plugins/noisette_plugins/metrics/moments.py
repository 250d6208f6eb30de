"""Mean and covariance of streams of vectors.

Two sets merge without loss of digits (Chan, Golub & LeVeque 1979): with n = n_a + n_b and d = mean_b - mean_a,

    mean = mean_a + d n_b / n,   scatter = scatter_a + scatter_b + d dᵀ n_a n_b / n,

where scatter is the sum of (x - mean)(x - mean)ᵀ and the covariance scatter / (n - 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette import DataError
from noisette_plugins.metrics.products import gram

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["CHUNK", "merged", "moments", "moments_of_many", "same_length"]

CHUNK = 4096
"""Rows that are held in float64 at once."""


def moments(features: Tensor) -> State:
    """Return count (), mean (D,) and scatter (D, D) of features (N, D), in float64; `{}` for no rows."""
    if not len(features):
        return {}
    rows = features.to(torch.float64)
    mean = rows.mean(dim=0)
    centred = rows - mean
    return {"count": torch.tensor(len(rows)), "mean": mean, "scatter": gram(centred)}


def moments_of_many(features: Tensor) -> State:
    """Return the same of any number of rows, in bounded memory."""
    state: State = {}
    for part in torch.split(features, CHUNK):
        state = merged(state, moments(part))
    return state


def merged(a: State, b: State) -> State:
    """Return the moments of two sets together.

    Raises:
        DataError: if their vectors have different lengths.
    """
    if not a or not b:
        return dict(a or b)
    same_length(a["mean"], b["mean"])
    n_a, n_b = int(a["count"]), int(b["count"])
    total = n_a + n_b
    step = b["mean"] - a["mean"]
    scatter = torch.addr(a["scatter"], step, step, alpha=n_a * n_b / total).add_(b["scatter"])
    return {"count": torch.tensor(total), "mean": a["mean"] + step * (n_b / total), "scatter": scatter}


def same_length(a: Tensor, b: Tensor) -> None:
    """Refuse vectors of different lengths, (..., D).

    Raises:
        DataError: naming both.
    """
    if a.shape[-1] != b.shape[-1]:
        raise DataError(f"expected features of one length; got {a.shape[-1]} and {b.shape[-1]}")
