"""The Fréchet distance of the Gaussians with the moments of two sets, and its standard error.

With R a root of C_2 (Rᵀ R = C_2) and R C_1 Rᵀ = V s² Vᵀ, the squared distance (Dowson & Landau 1982) is

    d² = |mean_1 - mean_2|² + tr C_1 + tr C_2 - 2 sum(s).

To first order, it changes with each image x, x' = x - mean_1, by the image's influence

    g(x) = |x'|² - x'ᵀ T x' + 2 x'·(mean_1 - mean_2),   T = Rᵀ V s⁻¹ Vᵀ R,

where T transports the first Gaussian to the second (the derivative of tr (C_1^½ C_2 C_1^½)^½ by C_1 is T / 2).
The influence of a reference image is the same with T⁻¹ for T. Hence Var d² = Var g_1 / n + Var g_2 / m (the
infinitesimal jackknife, Efron 1982, section 6.3). With fewer images than dimensions, T is restricted to the span of
the images.

The influences are noisy, because R, T and the means are estimates. Where the two distributions are the same, the
influences are only noise, and the variance is twice too large (as with every jackknife, Efron & Stein 1981). For
Gaussians and 1 / k = 1 / n + 1 / m, the second-order part that is counted twice is

    W = (2 sum s_i² + sum s_i² / 4 + sum_ij (s_i s_j / (s_i + s_j))²) / k²,

from the second derivatives of the distance, |shift|² + sum_ij D_ij² / (2 (s_i + s_j)) for a difference D of the
covariances. W is subtracted, up to half of the variance.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette import DataError, Estimate
from noisette_plugins.metrics.feature_statistics import TensorCache, require_same_length, sample_count
from noisette_plugins.metrics.gaussian import Gaussian
from noisette_plugins.metrics.jackknife import scale_to_variance, sum_by_group
from noisette_plugins.metrics.optimal_transport import GaussianPair

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["distance", "double_count_correction", "frechet", "influences"]

_REFERENCES = TensorCache()
"""All rows of a table have the same reference: its root and whitened vectors are computed once."""


def frechet(generated: State, reference: State) -> Estimate:
    """Return the squared distance of two sets with its standard error, the latter from a sample of each.

    Args:
        generated: statistics returned by `sample`.
        reference: statistics of the reference set.

    Raises:
        DataError: if a set has fewer than 2 vectors, or vectors of another length.
    """
    for state, whose in ((generated, "judged"), (reference, "reference")):
        if sample_count(state) < 2:
            raise DataError(f"expected at least 2 {whose} images for a covariance; got {sample_count(state)}")
    require_same_length(generated["sample"], reference["sample"])
    theirs: Gaussian = _REFERENCES.get(reference["sample"], "gaussian", lambda: Gaussian.of(reference))
    pair = GaussianPair(Gaussian.of(generated), theirs)
    ours, others = influences(pair)
    from_theirs = float(others.var()) / theirs.count
    raw = float(ours.var()) / pair.ours.count + from_theirs
    once = double_count_correction(pair, raw)
    return Estimate(distance(pair), sqrt(raw * once), scale_to_variance(sum_by_group(others), from_theirs * once))


def double_count_correction(pair: GaussianPair, raw: float) -> float:
    """Return the share of the influences' variance that remains without the part counted twice."""
    s, weight = pair.squares.sqrt(), 1 / pair.ours.count + 1 / pair.theirs.count
    s = s[s > 0]
    crossed = s[:, None] * s / (s[:, None] + s)
    twice = float(9 / 4 * s.square().sum() + crossed.square().sum()) * weight**2
    return max(0.5, 1 - twice / raw) if raw else 1.0


def distance(pair: GaussianPair) -> float:
    """Return the squared distance; never negative."""
    traces = pair.ours.variance + pair.theirs.variance
    return max(0.0, float(pair.shift.square().sum() + traces - 2 * pair.squares.sqrt().sum()))


def influences(pair: GaussianPair) -> tuple[Tensor, Tensor]:
    """Return the influences g of the stored vectors of both sets, each up to a constant.

    Returns:
        (n,) for the generated and (m,) for the reference vectors.
    """
    ours, theirs, shift = pair.ours, pair.theirs, pair.shift
    forward_quadratic = [pair.transport.forward_quadratic(projected) for projected in pair.iter_projected()]
    inverse_quadratic = [pair.transport.inverse_quadratic(white) for white in theirs.whitened()]
    from_ours = [x.square().sum(dim=1) + 2 * x @ shift for x in ours.centred()]
    from_theirs = [y.square().sum(dim=1) - 2 * y @ shift for y in theirs.centred()]
    return torch.cat(from_ours) - torch.cat(forward_quadratic), torch.cat(from_theirs) - torch.cat(
        inverse_quadratic
    )
