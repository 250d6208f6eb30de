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

from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette import DataError, Estimate
from noisette_plugins.metrics.gaussian import Gaussian
from noisette_plugins.metrics.memory import Memory
from noisette_plugins.metrics.moments import same_length
from noisette_plugins.metrics.sample import count_of
from noisette_plugins.metrics.transport import Pair

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["distance", "frechet", "influences"]

_REFERENCES = Memory()
"""Every row of a table is compared with the same reference: its root and what it whitens are made once."""


def frechet(generated: State, reference: State) -> Estimate:
    """Return the squared distance of two sets with its standard error, the latter from a sample of each.

    Args:
        generated: statistics as `sample` makes them.
        reference: the same of the others.

    Raises:
        DataError: if a set has fewer than 2 vectors, or vectors of another length.
    """
    for state, whose in ((generated, "judged"), (reference, "reference")):
        if count_of(state) < 2:
            raise DataError(f"expected at least 2 {whose} pictures for a covariance; got {count_of(state)}")
    same_length(generated["sample"], reference["sample"])
    theirs: Gaussian = _REFERENCES.get(reference["sample"], "gaussian", lambda: Gaussian.of(reference))
    pair = Pair(Gaussian.of(generated), theirs)
    ours, others = influences(pair)
    variance = ours.var() / pair.ours.count + others.var() / theirs.count
    return Estimate(distance(pair), sqrt(float(variance)))


def distance(pair: Pair) -> float:
    """Return the squared distance; never negative."""
    traces = pair.ours.variance + pair.theirs.variance
    return max(0.0, float(pair.shift.square().sum() + traces - 2 * pair.squares.sqrt().sum()))


def influences(pair: Pair) -> tuple[Tensor, Tensor]:
    """Return the influences g of the vectors of both sets that are there, each apart from a constant.

    Returns:
        (n,) of ours and (m,) of theirs.
    """
    ours, theirs, shift = pair.ours, pair.theirs, pair.shift
    ahead = [pair.transport.ahead(seen) for seen in pair.sighted()]
    back = [pair.transport.back(white) for white in theirs.whitened()]
    from_ours = [x.square().sum(dim=1) + 2 * x @ shift for x in ours.centred()]
    from_theirs = [y.square().sum(dim=1) - 2 * y @ shift for y in theirs.centred()]
    return torch.cat(from_ours) - torch.cat(ahead), torch.cat(from_theirs) - torch.cat(back)
