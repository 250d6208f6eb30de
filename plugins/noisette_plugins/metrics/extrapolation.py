"""The Fréchet distance as a linear function of 1 / n, its limit for unlimited images, and the bootstrap error.

The set is divided into k parts of equal size, for k from 1 to K: every image is in one part of each division.
With d_kj the distance of part j of k and d_k their mean, the line d_k = a + b k / n is fitted by least squares.
The value is a = sum c_k d_k with sum c_k = 1 and sum k c_k = 0.

Every division contains every image once. To first order, a therefore changes with the images as the distance of
the whole set does: by the mean of their influences (see `frechet_distance`). The bootstrap resamples the influences
of both sets. The residual of d_kj, without the line and the influences of its images, is noise of higher order,
roughly proportional to k. The bootstrap resamples it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette import DataError, Estimate
from noisette.plugin_api import derive_seed
from noisette_plugins.metrics.feature_statistics import (
    TensorCache,
    canonical_order,
    require_same_length,
    scale_to_variance,
    sum_by_group,
)
from noisette_plugins.metrics.frechet_distance import (
    Gaussian,
    GaussianPair,
    distance,
    double_count_correction,
    influences,
)
from noisette_plugins.metrics.neighbours import require_rows

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["extrapolate"]

_MIN_ROWS = 10


def extrapolate(generated: State, reference: State, divisions: int, resamples: int, seed: int) -> Estimate:
    """Return the limit of the line with its standard error; see the module's docstring.

    Raises:
        DataError: if the smallest part has fewer than 10 images, the reference fewer than 2, features have
            another length, or the distances are not on a line.
    """
    rows, real = require_rows(generated, "judged", divisions * _MIN_ROWS), require_rows(reference, "reference", 2)
    rows = _shuffle(rows, seed)
    theirs: Gaussian = _WHOLE.get(real, "gaussian", lambda: Gaussian.of_rows(real))
    require_same_length(rows, real)
    whole = GaussianPair(Gaussian.of_rows(rows), theirs)
    own_influences, reference_influences = influences(whole)
    once = double_count_correction(
        whole,
        float(own_influences.var()) / len(own_influences)
        + float(reference_influences.var()) / len(reference_influences),
    )
    own_influences, reference_influences = (
        own_influences * sqrt(once),
        reference_influences[canonical_order(real)] * sqrt(once),
    )
    parts = [part for k in range(1, divisions + 1) for part in torch.arange(len(rows)).tensor_split(k)]
    k = torch.tensor([k for k in range(1, divisions + 1) for _ in range(k)], dtype=torch.float64)
    distances = [distance(GaussianPair(Gaussian.of_rows(rows[part]), theirs)) for part in parts]
    apart = torch.tensor(distances, dtype=torch.float64)
    own = torch.stack([own_influences[part].mean() for part in parts]) - own_influences.mean()
    weights = _weights(k)
    left = _residuals(apart - own, k) / k
    generator = torch.Generator().manual_seed(derive_seed(seed, "frechet-infinity", "bootstrap"))
    resampled = left[torch.randint(len(k), (resamples, len(k)), generator=generator)] * k @ weights
    resampled += _bootstrap_means(own_influences, resamples, generator) + _bootstrap_means(
        reference_influences, resamples, generator
    )
    found = Estimate(float(weights @ apart), float(resampled.std()))
    _check(found, apart, k, rows)
    shared = scale_to_variance(
        sum_by_group(reference_influences), float(reference_influences.var()) / len(reference_influences)
    )
    return Estimate(*found, shared)


def _check(found: Estimate, distances: Tensor, k: Tensor, rows: Tensor) -> None:
    """Raise a DataError where the distances lie on a curve, whose limit is far from that of the line."""
    correction = float(distances[0]) - found.value
    curve = float(_weights(k, 2) @ distances) if k.max() > 2 else found.value
    if abs(curve - found.value) > max(4 * (found.stderr or 0.0), abs(correction) / 2):
        raise DataError(
            f"cannot be extrapolated: a line through the distances of the parts ends at {found.value:.4g}, a curve "
            f"at {curve:.4g}, the error is {found.stderr:.2g}: parts of {len(rows) // int(k.max())} images are "
            f"too few for features of {rows.shape[1]} dimensions; take more images, or kid"
        )


_WHOLE = TensorCache()


def _shuffle(rows: Tensor, seed: int) -> Tensor:
    """Return the rows in an order determined by their content and the seed."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "frechet-infinity", "parts"))
    return rows[canonical_order(rows)[torch.randperm(len(rows), generator=generator)]]


def _weights(k: Tensor, degree: int = 1) -> Tensor:
    """Return the weight of each distance in the value at 0 of a polynomial fitted to the divisions' means."""
    divisions = torch.arange(1, float(k.max()) + 1, dtype=k.dtype)
    powers = torch.stack([divisions**power for power in range(degree + 1)], dim=1)
    ends: Tensor = torch.linalg.pinv(powers)[0]
    return ends[k.long() - 1] / k


def _residuals(distances: Tensor, k: Tensor) -> Tensor:
    """Return the residual of each distance, rescaled for the degrees of freedom that the fit uses."""
    root = (1 / k).sqrt()  # every division counts once, whatever its number of parts
    lines = torch.stack([torch.ones_like(k), k], dim=1)
    fit = torch.linalg.lstsq(lines * root[:, None], (distances * root)[:, None]).solution
    left: Tensor = distances - (lines @ fit)[:, 0]
    return left * sqrt(len(k) / (len(k) - 2))


def _bootstrap_means(values: Tensor, resamples: int, generator: torch.Generator) -> Tensor:
    """Return the differences between the means of resamples and the mean of the values, (B,)."""
    resampled: Sequence[Tensor] = [
        values[torch.randint(len(values), (len(values),), generator=generator)].mean() for _ in range(resamples)
    ]
    return torch.stack(list(resampled)) - values.mean()
