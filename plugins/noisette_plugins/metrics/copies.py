"""Distances to the nearest reference pictures, and what they say of copies."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette import Estimate, Neighbours
from noisette_plugins.metrics.jackknife import binomial
from noisette_plugins.metrics.memory import Memory
from noisette_plugins.metrics.neighbours import nearest, rows_of

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["distances", "found_beside", "memorised", "nearer"]

_SHARE = 1 / 3


def distances(state: State, reference: State, whose: str) -> Tensor:
    """Return the distances of each picture to the two nearest reference pictures, (N, 2).

    Raises:
        DataError: if there are no pictures, fewer than 2 in the reference, or features of another length.
    """
    rows, others = rows_of(state, whose, 1), rows_of(reference, "reference", 2)
    of_rows: Memory = _NEAREST.get(rows, "by reference", Memory)
    squares: Tensor = of_rows.get(others, "squares", lambda: nearest(rows, others, 2)[0])
    return squares.sqrt()


_NEAREST = Memory()
"""Held-out pictures are beside every row of a table. Both sets are held weakly: an `id` is given out again."""


def memorised(found: Tensor) -> Estimate:
    """Return the share of pictures whose first distance is at most a third of the second, (N, 2)."""
    share = float((found[:, 0] <= _SHARE * found[:, 1]).to(torch.float64).mean())
    return Estimate(share, binomial(share, len(found)))


def nearer(ours: Tensor, theirs: Tensor) -> Estimate:
    """Return the chance that one of our distances (n,) is less than one of theirs (m,), equal ones counted half."""
    higher, lower = _share_above(ours, theirs), 1 - _share_above(theirs, ours)
    value = float(higher.mean())
    variance = higher.var(correction=0) / len(ours) + lower.var(correction=0) / len(theirs)
    return Estimate(value, max(sqrt(float(variance)), binomial(value, min(len(ours), len(theirs)))))


def _share_above(some: Tensor, others: Tensor) -> Tensor:
    """Return for each of some the share of others that are above it, equal ones counted half."""
    ascending, some = others.sort().values, some.contiguous()
    below = torch.searchsorted(ascending, some) + torch.searchsorted(ascending, some, right=True)
    return 1 - below.to(torch.float64) / (2 * len(others))


def found_beside(generated: State, reference: State, shown: int, beside: int) -> list[Neighbours]:
    """Return the pictures that are nearest to the reference, with their neighbours."""
    rows, others = rows_of(generated, "judged", 1), rows_of(reference, "reference", 2)
    first = distances(generated, reference, "judged")[:, 0].argsort(stable=True)[:shown]
    squares, places = nearest(rows[first], others, min(beside, len(others)))
    lists = zip(first.tolist(), places.tolist(), squares.sqrt().tolist(), strict=True)
    return [Neighbours(place, near, apart) for place, near, apart in lists]
