"""Nearest neighbours among rows of features, in blocks of bounded size.

Squared distances are |x|² + |y|² - 2 x·y in float64, with the mean of the rows subtracted. Below 1e-12 of
|x|² + |y|² the difference is only rounding: such rows are treated as equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from noisette import DataError
from noisette_plugins.metrics.feature_statistics import TensorCache, count, require_same_length

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["iter_distance_blocks", "nearest", "nearest_within", "require_rows", "rounding_tolerance"]

_BLOCK = 1 << 22
"""Distances that are held at once."""

_ROWS = 512
"""Rows of a set that are compared with the rest at once: smaller blocks repeat fewer distances."""

_EQUAL = 1e-12

_LEAST_KEPT = 16
"""Neighbours of each row of a set that are cached: metrics ask for 3 or 5."""


def require_rows(state: State, whose: str, least: int) -> Tensor:
    """Return the features of a state, (N, D).

    Raises:
        DataError: if there are fewer than `least`.
    """
    found = count(state, "features")
    if found < least:
        raise DataError(f"expected at least {least} {whose} images; got {found}")
    return state["features"]


def iter_distance_blocks(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of x (n, D) and the squared distances (b, m) of their rows to all rows of y (m, D).

    Raises:
        DataError: if the rows have different lengths.
    """
    require_same_length(x, y)
    middle = y.mean(dim=0, dtype=torch.float64)
    columns = y - middle
    size = max(1, _BLOCK // len(y))
    for start in range(0, len(x), size):
        places = slice(start, min(start + size, len(x)))
        yield places, _squares(x[places] - middle, columns)


def _squares(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared distances of centred rows, (n, m)."""
    from_x, from_y = x.square().sum(dim=1)[:, None], y.square().sum(dim=1)
    squares = torch.addmm(from_y, x, y.T, alpha=-2).add_(from_x)
    if bool(squares.amin() < _EQUAL * (from_x.amax() + from_y.amax())):
        squares.masked_fill_(squares < _EQUAL * (from_x + from_y), 0)
    return squares


def rounding_tolerance(rows: Tensor) -> Tensor:
    """Return the tolerance, (), within which squared distances of rows are treated as equal."""
    lengths = (rows - rows.mean(dim=0, dtype=torch.float64)).square().sum(dim=1)
    return 2 * _EQUAL * lengths.amax()


def nearest(x: Tensor, y: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return squared distances of rows of x to their k nearest rows of y, ascending, and indices, (n, k)."""
    found = [_smallest(squares, k) for _, squares in iter_distance_blocks(x, y)]
    return torch.cat([squares for squares, _ in found]), torch.cat([places for _, places in found])


def nearest_within(rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the same for the k nearest other rows of one set, cached for the lifetime of the set."""
    kept = min(max(k, _LEAST_KEPT), len(rows) - 1)
    squares, places = _WITHIN.get(rows, kept, lambda: _compute_nearest_within(rows, kept))
    return squares[:, :k], places[:, :k]


_WITHIN = TensorCache()


def _compute_nearest_within(rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k nearest others of each row; each distance is computed once, for both of its rows."""
    found = _Nearest.empty(len(rows), k)
    centred = rows - rows.mean(dim=0, dtype=torch.float64)
    size = min(_ROWS, max(1, _BLOCK // len(rows)))
    for start in range(0, len(rows), size):
        squares = _squares(centred[start : start + size], centred[start:])
        squares.fill_diagonal_(torch.inf)
        found.update(start, squares, start)
        found.update(start + size, squares[:, size:].T, start)
    return found.squares, found.places


class _Nearest(NamedTuple):
    """The k nearest neighbours of each row so far, ascending: squared distances and indices, (n, k)."""

    squares: Tensor
    places: Tensor

    @classmethod
    def empty(cls, rows: int, k: int) -> _Nearest:
        return cls(torch.full((rows, k), torch.inf, dtype=torch.float64), torch.zeros(rows, k, dtype=torch.int64))

    def update(self, first: int, squares: Tensor, others: int) -> None:
        """Update the rows from `first` with squared distances (r, c) to the rows from `others`."""
        if not squares.numel():
            return
        rows, k = slice(first, first + len(squares)), self.squares.shape[1]
        values, places = _smallest(squares, min(k, squares.shape[1]))
        values = torch.cat([self.squares[rows], values], dim=1)
        places = torch.cat([self.places[rows], places + others], dim=1)
        values, order = _smallest(values, k)
        self.squares[rows], self.places[rows] = values, places.gather(1, order)


def _smallest(squares: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k smallest values of each row, ascending, and their indices."""
    values, places = squares.topk(k, dim=1, largest=False)
    return values, places
