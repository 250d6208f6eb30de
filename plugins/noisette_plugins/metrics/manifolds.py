"""Balls around the images of a set, each with the distance to the k-th neighbour in the set as its radius.

An image on the surface of a ball is inside it. Radii shrink as images are added: results with different counts are
not comparable. The errors are the jackknife's over both sets (`jackknife`). A result depends on both the images at
the centres and the images that are counted. A binomial error includes only the latter, and was measured to be as
small as a fifth of the spread. The part of the variance that both sets share is counted once.
"""

from __future__ import annotations

from math import sqrt
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from noisette import Estimate
from noisette_plugins.metrics.jackknife import (
    assign_groups,
    binomial_stderr,
    interaction,
    jackknife_shifts,
    leave_one_out_means,
)
from noisette_plugins.metrics.neighbours import iter_distance_blocks, nearest_within, rounding_tolerance

__all__ = ["Balls", "count_in_balls", "min_images", "precision_recall_shares"]


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
