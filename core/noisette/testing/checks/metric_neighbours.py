"""Whether pictures that are shown beside reference pictures are named by their places."""

from __future__ import annotations

import torch

from noisette.contracts import Batch, Metric, Neighbours
from noisette.testing.check import Skip, about, require
from noisette.testing.checks.metrics import _sets, _shown_beside, _unless_refused, _whole
from noisette.testing.options import shown
from noisette.testing.sets import part_of

_FEW = 6


@about("neighbours")
def check_neighbours_are_places(plugin: Metric) -> None:
    """Pictures to be shown beside reference pictures are named by places in both sets, the nearest first."""
    sets = _sets(plugin)
    _require_places(plugin, _shown_beside(plugin), len(sets.near.pictures), len(sets.reference.pictures))


@about("neighbours")
def check_neighbours_stay_with_their_pictures(plugin: Metric) -> None:
    """Of few pictures places are counted from 0 too, and go with the pictures: turned round, cut up and merged.

    Distances are the same to 1e-6. Of six pictures nearly all are shown, so that places off by one are seen.
    """
    if type(plugin).neighbours is Metric.neighbours:
        raise Skip(f"{shown(plugin)}: it shows no pictures beside others")
    near, reference = (part_of(one, slice(_FEW)) for one in (_sets(plugin).near, _sets(plugin).reference))
    known = _of_few(plugin, near, reference)
    back = torch.arange(_FEW - 1, -1, -1)
    turned = [
        Neighbours(_FEW - 1 - place, [_FEW - 1 - other for other in beside], distances)
        for place, beside, distances in _of_few(plugin, part_of(near, back), part_of(reference, back))
    ]
    _require_same(plugin, "where both sets are turned round", known, turned)
    parts = [_whole(plugin, part_of(near, rows)) for rows in (slice(2), slice(2, None))]
    merged = plugin.neighbours(plugin.merge(*parts), _whole(plugin, reference))
    _require_same(plugin, "of a merged set", known, merged)


def _of_few(plugin: Metric, near: Batch, reference: Batch) -> list[Neighbours]:
    found = _unless_refused(plugin.neighbours, _whole(plugin, near), _whole(plugin, reference))
    if found is None:
        raise Skip(f"{shown(plugin)}: {_FEW} pictures are too few for it")
    _require_places(plugin, found, _FEW, _FEW)
    return found


def _require_places(plugin: Metric, found: list[Neighbours], count: int, others: int) -> None:
    for place, beside, distances in found:
        what = f"neighbours of picture {place} of {count}"
        require(0 <= place < count, plugin, what, f"a place from 0 to {count - 1}", place)
        there = bool(beside) and all(0 <= other < others for other in beside)
        require(there, plugin, what, f"places in the reference, from 0 to {others - 1}", beside)
        right = len(distances) == len(beside) and distances == sorted(distances)
        require(right, plugin, f"distances of the {what}", "one each, ascending", distances)


def _require_same(plugin: Metric, when: str, known: list[Neighbours], came: list[Neighbours]) -> None:
    """Require that pictures that are shown both times have the same neighbours."""
    again = {place: (beside, distances) for place, beside, distances in came}
    for place, beside, distances in known:
        now, at = again.get(place, (beside, distances))
        near = len(at) == len(distances) and all(
            abs(a - b) <= 1e-6 * max(abs(a), abs(b), 1.0) for a, b in zip(at, distances, strict=True)
        )
        require(near, plugin, f"distances beside picture {place} {when}", distances, at)
        require(now == beside, plugin, f"places beside picture {place} {when}", beside, now)
