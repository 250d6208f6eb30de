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

from collections.abc import Iterator
from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette import DataError, Estimate
from noisette_plugins.metrics.moments import CHUNK, moments_of_many, same_length
from noisette_plugins.metrics.transport import Transport, inner_of, root_of, shared, transport_of

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["distance_of_rows", "frechet", "frechet_distance", "influences"]


def frechet(generated: State, reference: State) -> Estimate:
    """Return the squared distance of two sets with its standard error, the latter from their samples.

    Args:
        generated: count, mean, scatter, and a sample of the vectors.
        reference: the same of the others.

    Raises:
        DataError: if a set has fewer than 2 vectors, or vectors of another length.
    """
    _check(generated, reference)
    transport, overlap = transport_of(generated, reference)
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
    values = torch.linalg.eigvalsh(inner_of(root_of(reference).root, generated))
    return _distance(generated, reference, values[-shared(generated, reference) :].clamp(min=0).sqrt().sum())


def distance_of_rows(rows: Tensor, reference: State) -> float:
    """Return the squared distance of some vectors (n, D) to a set; quicker where they are few.

    Raises:
        DataError: if a set has fewer than 2 vectors, or vectors of another length.
    """
    root = root_of(reference).root
    if len(rows) >= len(root):
        return frechet_distance(moments_of_many(rows), reference)
    mean = rows.mean(dim=0, dtype=torch.float64)
    centred = (rows - mean) / sqrt(len(rows) - 1)
    inner = centred @ root.T  # its products with itself have the eigenvalues of R C_1 Rᵀ
    most = min(len(rows), int(reference["count"])) - 1
    overlap = torch.linalg.eigvalsh(inner @ inner.T)[-most:].clamp(min=0).sqrt().sum()
    shift = (mean - reference["mean"]).square().sum()
    spread = centred.square().sum() + reference["scatter"].trace() / (int(reference["count"]) - 1)
    return max(0.0, float(shift + spread - 2 * overlap))


def influences(generated: State, reference: State) -> tuple[Tensor, Tensor]:
    """Return the influences g of the sampled vectors of both sets, (n,) and (m,), each apart from a constant.

    Raises:
        DataError: if a set has fewer than 2 vectors, or vectors of another length.
    """
    _check(generated, reference)
    return _influences(transport_of(generated, reference)[0], generated, reference)


def _influences(transport: Transport, generated: State, reference: State) -> tuple[Tensor, Tensor]:
    root, shift = root_of(reference), generated["mean"] - reference["mean"]
    ahead = [transport.ahead(x @ root.root.T) for x in _centred(generated)]
    back = [transport.back(white) for white in root.whitened(reference)]
    ours = [x.square().sum(dim=1) + 2 * x @ shift for x in _centred(generated)]
    theirs = [y.square().sum(dim=1) - 2 * y @ shift for y in _centred(reference)]
    return torch.cat(ours) - torch.cat(ahead), torch.cat(theirs) - torch.cat(back)


def _centred(state: State) -> Iterator[Tensor]:
    yield from (part - state["mean"] for part in torch.split(state["sample"], CHUNK))


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


def _distance(generated: State, reference: State, overlap: Tensor) -> float:
    shift = (generated["mean"] - reference["mean"]).square().sum()
    traces = [state["scatter"].trace() / (int(state["count"]) - 1) for state in (generated, reference)]
    return max(0.0, float(shift + traces[0] + traces[1] - 2 * overlap))
