"""Nearest neighbours among rows of features, in blocks of bounded size.

Squared distances are |x|² + |y|² - 2 x·y in float64, about the mean of the rows. Below 1e-12 of |x|² + |y|² nothing
is left of the difference but rounding: such rows are taken for equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette import DataError
from noisette_plugins.metrics.memory import Memory
from noisette_plugins.metrics.rows import count

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["among", "blocks", "nearest", "rows_of"]

_BLOCK = 1 << 22
"""Distances that are held at once."""

_EQUAL = 1e-12

_LEAST_KEPT = 16
"""Neighbours of each row of a set that are remembered: metrics ask for 3 or 5."""


def rows_of(state: State, whose: str, least: int) -> Tensor:
    """Return the features of a state, (N, D).

    Raises:
        DataError: if there are fewer than `least`.
    """
    found = count(state, "features")
    if found < least:
        raise DataError(f"expected at least {least} {whose} pictures; got {found}")
    return state["features"]


def blocks(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield places in x (n, D) and the squared distances (b, m) of the rows there to all rows of y (m, D).

    Raises:
        DataError: if the rows have different lengths.
    """
    if x.shape[1] != y.shape[1]:
        raise DataError(f"expected features of one length; got {x.shape[1]} and {y.shape[1]}")
    middle = y.mean(dim=0, dtype=torch.float64)
    columns = (y - middle).T
    lengths = columns.square().sum(dim=0)
    size = max(1, _BLOCK // len(y))
    for start in range(0, len(x), size):
        places = slice(start, min(start + size, len(x)))
        rows = x[places] - middle
        scale = rows.square().sum(dim=1)[:, None] + lengths
        squares = torch.addmm(scale, rows, columns, alpha=-2)
        yield places, squares.masked_fill_(squares < _EQUAL * scale, 0)


def nearest(x: Tensor, y: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return squared distances of rows of x to their k nearest rows of y, ascending, and their places, (n, k)."""
    found = [_least(squares, k) for _, squares in blocks(x, y)]
    return torch.cat([squares for squares, _ in found]), torch.cat([places for _, places in found])


def among(rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the same for the k nearest other rows of one set, remembered as long as the set is."""
    kept = min(max(k, _LEAST_KEPT), len(rows) - 1)
    squares, places = _AMONG.get(rows, kept, lambda: _among(rows, kept))
    return squares[:, :k], places[:, :k]


_AMONG = Memory()


def _among(rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    found = []
    for places, squares in blocks(rows, rows):
        own = torch.arange(places.start, places.stop)[:, None]
        found.append(_least(squares.scatter_(1, own, torch.inf), k))
    return torch.cat([squares for squares, _ in found]), torch.cat([places for _, places in found])


def _least(squares: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k least of each row, ascending, and where they are."""
    values, places = squares.topk(k, dim=1, largest=False)
    return values, places
