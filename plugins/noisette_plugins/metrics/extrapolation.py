"""The Fréchet distance as a line in one over the number of pictures, and the bootstrap of its end.

The set is divided into k parts of equal size, for k from 1 to K: every picture is in one part of each division.
With d_kj the distance of part j of k and d_k their mean, the line d_k = a + b k / n is fitted by least squares, and
a is the value: a = sum c_k d_k with sum c_k = 1 and sum k c_k = 0.

To first order a moves with the pictures as the distance of the whole set does, because every division has every
picture once: by the mean of their influences (see `frechet_distance`). The bootstrap draws these anew from both
sets. What is left of d_kj when the influences of its own pictures are taken off, and the line, is noise of higher
order, about in proportion to k: it is drawn anew as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette import DataError, Estimate
from noisette.diffusion import derive_seed
from noisette_plugins.metrics.feature_statistics import Memory, canonical_order, same_length
from noisette_plugins.metrics.frechet_distance import counted_once, distance, influences
from noisette_plugins.metrics.gaussian import Gaussian
from noisette_plugins.metrics.jackknife import by_group, scaled
from noisette_plugins.metrics.neighbours import rows_of
from noisette_plugins.metrics.optimal_transport import Pair

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["extrapolated"]

_LEAST = 10


def extrapolated(generated: State, reference: State, divisions: int, resamples: int, seed: int) -> Estimate:
    """Return the end of the line with its standard error; see the module's docstring.

    Raises:
        DataError: if the smallest part has fewer than 10 pictures, the reference fewer than 2, features have
            another length, or the distances are on no line.
    """
    rows, real = rows_of(generated, "judged", divisions * _LEAST), rows_of(reference, "reference", 2)
    rows = _shuffled(rows, seed)
    theirs: Gaussian = _WHOLE.get(real, "gaussian", lambda: Gaussian.of_rows(real))
    same_length(rows, real)
    whole = Pair(Gaussian.of_rows(rows), theirs)
    pulls, their_pulls = influences(whole)
    once = counted_once(whole, float(pulls.var()) / len(pulls) + float(their_pulls.var()) / len(their_pulls))
    pulls, their_pulls = pulls * sqrt(once), their_pulls[canonical_order(real)] * sqrt(once)
    parts = [part for k in range(1, divisions + 1) for part in torch.arange(len(rows)).tensor_split(k)]
    k = torch.tensor([k for k in range(1, divisions + 1) for _ in range(k)], dtype=torch.float64)
    distances = [distance(Pair(Gaussian.of_rows(rows[part]), theirs)) for part in parts]
    apart = torch.tensor(distances, dtype=torch.float64)
    own = torch.stack([pulls[part].mean() for part in parts]) - pulls.mean()
    weights = _weights(k)
    left = _left_over(apart - own, k) / k
    generator = torch.Generator().manual_seed(derive_seed(seed, "frechet-infinity", "bootstrap"))
    drawn = left[torch.randint(len(k), (resamples, len(k)), generator=generator)] * k @ weights
    drawn += _means(pulls, resamples, generator) + _means(their_pulls, resamples, generator)
    found = Estimate(float(weights @ apart), float(drawn.std()))
    _check(found, apart, k, rows)
    shared = scaled(by_group(their_pulls), float(their_pulls.var()) / len(their_pulls))
    return Estimate(*found, shared)


def _check(found: Estimate, distances: Tensor, k: Tensor, rows: Tensor) -> None:
    """Raise a DataError where the distances lie on a curve: one through them ends far from where the line does."""
    correction = float(distances[0]) - found.value
    curve = float(_weights(k, 2) @ distances) if k.max() > 2 else found.value
    if abs(curve - found.value) > max(4 * (found.stderr or 0.0), abs(correction) / 2):
        raise DataError(
            f"cannot be extrapolated: a line through the distances of the parts ends at {found.value:.4g}, a curve "
            f"at {curve:.4g}, the error is {found.stderr:.2g}: parts of {len(rows) // int(k.max())} pictures are "
            f"too few for features of {rows.shape[1]} dimensions; take more pictures, or kid"
        )


_WHOLE = Memory()


def _shuffled(rows: Tensor, seed: int) -> Tensor:
    """Return the rows in an order that their content and the seed decide."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "frechet-infinity", "parts"))
    return rows[canonical_order(rows)[torch.randperm(len(rows), generator=generator)]]


def _weights(k: Tensor, degree: int = 1) -> Tensor:
    """Return what each distance weighs in the value: 1 / k of its division's, a polynomial of which is fitted."""
    divisions = torch.arange(1, float(k.max()) + 1, dtype=k.dtype)
    powers = torch.stack([divisions**power for power in range(degree + 1)], dim=1)
    ends: Tensor = torch.linalg.pinv(powers)[0]
    return ends[k.long() - 1] / k


def _left_over(distances: Tensor, k: Tensor) -> Tensor:
    """Return what the line leaves over of each distance, as large as if the line had not been fitted to it."""
    root = (1 / k).sqrt()  # a division counts once, however many parts it has
    lines = torch.stack([torch.ones_like(k), k], dim=1)
    fit = torch.linalg.lstsq(lines * root[:, None], (distances * root)[:, None]).solution
    left: Tensor = distances - (lines @ fit)[:, 0]
    return left * sqrt(len(k) / (len(k) - 2))


def _means(values: Tensor, resamples: int, generator: torch.Generator) -> Tensor:
    """Return by how much the mean of resamples differs from that of the values, (B,)."""
    drawn: Sequence[Tensor] = [
        values[torch.randint(len(values), (len(values),), generator=generator)].mean() for _ in range(resamples)
    ]
    return torch.stack(list(drawn)) - values.mean()
