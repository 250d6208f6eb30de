"""Nearest neighbours among rows of features, and balls that reach to them.

Squared distances are |x|² + |y|² - 2 x·y in float64, with the mean of the rows subtracted. Below 1e-12 of
|x|² + |y|² the difference is only rounding: such rows are treated as equal.

A ball has the distance from its image to the k-th neighbour in the same set as its radius; an image on the surface
is inside. Radii shrink as images are added: results with different counts are not comparable. The errors are the
jackknife's over both sets (`feature_statistics`). A result depends on both the images at the centres and the images
that are counted. A binomial error includes only the latter, and was measured to be as small as a fifth of the
spread. The part of the variance that both sets share is counted once.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor

from noisette import DataError, Estimate
from noisette_plugins.metrics.feature_statistics import (
    TensorCache,
    assign_groups,
    binomial_stderr,
    count,
    interaction,
    jackknife_shifts,
    leave_one_out_means,
    require_same_length,
)

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = [
    "Balls",
    "count_in_balls",
    "iter_distance_blocks",
    "min_images",
    "nearest",
    "precision_recall_shares",
    "require_rows",
]

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


def min_images(k: int) -> int:
    """Return the minimum size of a set: k neighbours for each image, also without the images of one group."""
    return 2 * k + 2


class Balls(NamedTuple):
    """The balls around the rows of a set, for the whole set and without each group of rows.

    Attributes:
        rows: (m, D).
        groups: of the rows, (m,).
        squares: squared radii, (1 + G, m): first those of the whole set, then without each group; -1 for rows that
            are left out.
    """

    rows: Tensor
    groups: Tensor
    squares: Tensor

    @classmethod
    def of(cls, rows: Tensor, k: int) -> Balls:
        """Return the balls that reach to the k-th neighbour."""
        groups = assign_groups(rows)
        squares, places = nearest_within(rows, min(4 * k + 8, len(rows) - 1))
        squares = squares + rounding_tolerance(rows)  # the surface counts as inside, despite rounding
        radii = [squares[:, k - 1]]
        for group in range(int(groups.max()) + 1):
            nearer = ((groups[places] != group).cumsum(dim=1) < k).sum(dim=1, keepdim=True)
            kth = squares.gather(1, nearer.clamp(max=squares.shape[1] - 1))[:, 0]
            radii.append(kth.masked_fill(groups == group, -1.0))
        return cls(rows, groups, torch.stack(radii))


class BallCounts(NamedTuple):
    """Counts of points in balls.

    Attributes:
        counts: number of balls that contain each point, (1 + G, n): of all balls, then without each group.
        points: groups of the points, (n,).
        reach: least squared distance of a point of each group to each centre, (G', m).
        balls: the balls.
    """

    counts: Tensor
    points: Tensor
    reach: Tensor
    balls: Balls

    def density(self, k: int) -> Estimate:
        """Return the mean number of balls that contain a point, divided by k."""
        return _JackknifeResults.of(self.counts.to(torch.float64) / k, self.points).estimate(
            1 / len(self.points), "balls"
        )

    def coverage(self) -> Estimate:
        """Return the share of balls that contain any point."""
        squares = self.balls.squares
        others = torch.arange(len(self.reach))
        rest = [self.reach.amin(dim=0), *(self.reach[others != group].amin(dim=0) for group in others)]
        hit = torch.stack([(least <= squares).to(torch.float64).sum(dim=1) for least in rest], dim=1)
        left = _JackknifeResults(hit / (squares >= 0).sum(dim=1, keepdim=True))
        return left.estimate(binomial_stderr(left.value, len(self.balls.groups)), "balls")


def count_in_balls(points: Tensor, balls: Balls) -> BallCounts:
    """Count the balls that contain each of the points (n, D).

    Raises:
        DataError: if their rows have different lengths.
    """
    groups = assign_groups(points)
    number = int(groups.max()) + 1
    reach = torch.full((number, len(balls.rows)), torch.inf, dtype=torch.float64)
    counts = []
    for places, squares in iter_distance_blocks(points, balls.rows):
        counts.append(torch.stack([(squares <= radii).sum(dim=1) for radii in balls.squares]))
        index = groups[places][:, None].expand_as(squares)
        reach.scatter_reduce_(0, index, squares, "amin")
    return BallCounts(torch.cat(counts, dim=1), groups, reach, balls)


def precision_recall_shares(ours: Balls, theirs: Balls) -> tuple[Estimate, Estimate]:
    """Return the share of our rows inside any of their balls, and of theirs inside ours, in one pass.

    Raises:
        DataError: if their rows have different lengths.
    """
    found, back = [], torch.zeros(len(ours.squares), len(theirs.rows), dtype=torch.bool)
    for places, squares in iter_distance_blocks(ours.rows, theirs.rows):
        found.append(torch.stack([(squares <= radii).any(dim=1) for radii in theirs.squares]))
        back |= torch.stack([(squares <= radii[places, None]).any(dim=0) for radii in ours.squares])
    precision, recall = (
        _JackknifeResults.of(torch.cat(found, dim=1), ours.groups),
        _JackknifeResults.of(back, theirs.groups),
    )
    return (
        precision.estimate(binomial_stderr(precision.value, len(ours.groups)), "balls"),
        recall.estimate(binomial_stderr(recall.value, len(theirs.groups)), "points"),
    )


class _JackknifeResults(NamedTuple):
    """A result with all points and balls, and without each group of points or balls.

    Attributes:
        results: (1 + G, 1 + H): with all balls and without each group of them, with all points and without each.
    """

    results: Tensor

    @classmethod
    def of(cls, scores: Tensor, points: Tensor) -> _JackknifeResults:
        """Return the mean of scores (1 + G, n) of points with these groups."""
        scores = scores.to(torch.float64)
        left = torch.stack([leave_one_out_means(row, points) for row in scores])
        return cls(torch.cat([scores.mean(dim=1, keepdim=True), left], dim=1))

    @property
    def value(self) -> float:
        """The result with all points and balls."""
        return float(self.results[0, 0])

    def estimate(self, least: float, reference: Literal["points", "balls"]) -> Estimate:
        """Return the result with its error, at least `least`, and the reference's contribution to the error."""
        by_set = {"balls": jackknife_shifts(self.results[1:, 0]), "points": jackknife_shifts(self.results[0, 1:])}
        parts = [float(vector.square().sum()) for vector in by_set.values()]
        variance = max(sum(parts) - interaction(self.results[1:, 1:]), *parts)
        return Estimate(self.value, max(sqrt(variance), least), by_set[reference].tolist())
