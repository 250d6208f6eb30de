"""Distances to the nearest reference images, and what they say of copies."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from noisette import Estimate, Neighbours
from noisette_plugins.metrics.feature_statistics import (
    TensorCache,
    assign_groups,
    binomial_stderr,
    interaction,
    jackknife_shifts,
    leave_one_out_means,
    scale_to_variance,
)
from noisette_plugins.metrics.neighbours import iter_distance_blocks, nearest, require_rows

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["Distances", "chance_nearer", "distances", "mean_distance", "memorised_share", "nearest_neighbours"]

_SHARE = 1 / 3


class Distances(NamedTuple):
    """Distances of images to the two nearest reference images.

    Attributes:
        all: (1 + G, N, 2), ascending: to the whole reference, and to it without each of its groups.
        groups: of the images, (N,).
    """

    all: Tensor
    groups: Tensor


def distances(state: State, reference: State, whose: str) -> Distances:
    """Return the distances of each image to the two nearest reference images.

    Raises:
        DataError: if there are no images, fewer than 2 in the reference, or features of another length.
    """
    rows, others = require_rows(state, whose, 1), require_rows(reference, "reference", 2)
    of_rows: TensorCache = _NEAREST.get(rows, "by reference", TensorCache)
    found: Distances = of_rows.get(others, "distances", lambda: _compute_distances(rows, others))
    return found


_NEAREST = TensorCache()
"""Held-out images are compared in every row of a table. Both sets are held weakly: an `id` can be reused."""


def _compute_distances(rows: Tensor, others: Tensor) -> Distances:
    groups = assign_groups(others)
    number = int(groups.max()) + 1
    of_groups = torch.full((number, len(rows), 2), torch.inf, dtype=torch.float64)
    for places, squares in iter_distance_blocks(rows, others):
        for group in range(number):
            inside = squares[:, groups == group]
            least = min(2, inside.shape[1])
            of_groups[group, places, :least] = inside.topk(least, dim=1, largest=False).values
    each = torch.arange(number if number > 2 else 0)
    left = [of_groups, *(of_groups[torch.arange(number) != group] for group in each)]
    return Distances(torch.stack([_two_smallest(squares) for squares in left]), assign_groups(rows))


def _two_smallest(squares: Tensor) -> Tensor:
    """Return the two smallest of the squared distances of some groups, (G, N, 2), as distances (N, 2)."""
    together = squares.transpose(0, 1).flatten(1)
    return together.topk(2, dim=1, largest=False).values.sqrt()


def mean_distance(found: Distances) -> Estimate:
    """Return the mean distance to the nearest reference image."""
    nearest = found.all[0, :, 0]
    own = float(nearest.var(correction=0)) / len(nearest)
    return _estimate(own, found.all[..., 0], found.groups)


def memorised_share(found: Distances) -> Estimate:
    """Return the share of images whose nearest distance is at most a third of the second nearest."""
    copied = (found.all[..., 0] <= _SHARE * found.all[..., 1]).to(torch.float64)
    return _estimate(binomial_stderr(float(copied[0].mean()), copied.shape[1]) ** 2, copied, found.groups)


def _estimate(own: float, scores: Tensor, groups: Tensor) -> Estimate:
    """Return the mean score of images with its error.

    The jackknife adds the variance over the reference to `own`, the variance over the images. The part that both
    share is counted once.

    Args:
        own: the variance over the images.
        scores: (1 + G, N), with the whole reference and without each group of it.
        groups: of the images, (N,).
    """
    value = float(scores[0].mean())
    if len(scores) == 1 or int(groups.max()) == 0:
        return Estimate(value, sqrt(own))
    shared = jackknife_shifts(scores[1:].mean(dim=1))
    left = torch.stack([leave_one_out_means(row, groups) for row in scores[1:]])
    theirs = float(shared.square().sum())
    return Estimate(value, sqrt(max(own + theirs - interaction(left), own, theirs)), shared.tolist())


def chance_nearer(ours: Distances, theirs: Distances) -> Estimate:
    """Return the probability that a distance of ours is less than one of theirs, ties counted half.

    The reference affects both in the same way, so its part of the error is left out. The held-out images are shared
    by all rows.
    """
    first, second = ours.all[0, :, 0], theirs.all[0, :, 0]
    higher, lower = _share_above(first, second), 1 - _share_above(second, first)
    value, held = float(higher.mean()), float(lower.var(correction=0)) / len(second)
    variance = float(higher.var(correction=0)) / len(first) + held
    sums = torch.zeros(int(theirs.groups.max()) + 1, dtype=torch.float64)
    sums.index_add_(0, theirs.groups, lower - lower.mean())
    return Estimate(value, max(sqrt(variance), 1 / min(len(first), len(second))), scale_to_variance(sums, held))


def _share_above(some: Tensor, others: Tensor) -> Tensor:
    """Return for each of `some` the share of `others` above it, ties counted half."""
    ascending, some = others.sort().values, some.contiguous()
    below = torch.searchsorted(ascending, some) + torch.searchsorted(ascending, some, right=True)
    return 1 - below.to(torch.float64) / (2 * len(others))


def nearest_neighbours(generated: State, reference: State, shown: int, beside: int) -> list[Neighbours]:
    """Return the images that are nearest to the reference, with their neighbours."""
    rows, others = require_rows(generated, "judged", 1), require_rows(reference, "reference", 2)
    first = distances(generated, reference, "judged").all[0, :, 0].argsort(stable=True)[:shown]
    squares, places = nearest(rows[first], others, min(beside, len(others)))
    lists = zip(first.tolist(), places.tolist(), squares.sqrt().tolist(), strict=True)
    return [Neighbours(place, near, apart) for place, near, apart in lists]
