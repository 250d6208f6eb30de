"""Whether the neighbours that a metric returns are valid."""

from __future__ import annotations

import torch

from noisette.contracts import Batch, Metric, Neighbours
from noisette.testing.check import Skip, for_method, require
from noisette.testing.checks.metrics import _full_state, _neighbours_of, _none_if_refused, _sets
from noisette.testing.options import format_plugin
from noisette.testing.sets import select_rows

_FEW = 6


@for_method("neighbours")
def check_neighbours_are_valid_indices(plugin: Metric) -> None:
    """Neighbours are indices into both sets, the nearest first."""
    sets = _sets(plugin)
    _require_places(plugin, _neighbours_of(plugin), len(sets.near.images), len(sets.reference.images))


@for_method("neighbours")
def check_neighbours_stay_with_their_images(plugin: Metric) -> None:
    """Indices follow the images when these are reversed, split and merged.

    Distances agree within 1e-6. With six images an index that is off by one is noticed.
    """
    if type(plugin).neighbours is Metric.neighbours:
        raise Skip(f"{format_plugin(plugin)}: it returns no neighbours")
    near, reference = (select_rows(one, slice(_FEW)) for one in (_sets(plugin).near, _sets(plugin).reference))
    known = _neighbours_of_few(plugin, near, reference)
    back = torch.arange(_FEW - 1, -1, -1)
    turned = [
        Neighbours(_FEW - 1 - place, [_FEW - 1 - other for other in beside], distances)
        for place, beside, distances in _neighbours_of_few(
            plugin, select_rows(near, back), select_rows(reference, back)
        )
    ]
    _require_same(plugin, "where both sets are turned round", known, turned)
    parts = [_full_state(plugin, select_rows(near, rows)) for rows in (slice(2), slice(2, None))]
    merged = plugin.neighbours(plugin.merge(*parts), _full_state(plugin, reference))
    _require_same(plugin, "of a merged set", known, merged)


def _neighbours_of_few(plugin: Metric, near: Batch, reference: Batch) -> list[Neighbours]:
    found = _none_if_refused(plugin.neighbours, _full_state(plugin, near), _full_state(plugin, reference))
    if found is None:
        raise Skip(f"{format_plugin(plugin)}: {_FEW} images are too few")
    _require_places(plugin, found, _FEW, _FEW)
    return found


def _require_places(plugin: Metric, found: list[Neighbours], count: int, others: int) -> None:
    for place, beside, distances in found:
        what = f"neighbours of image {place} of {count}"
        require(0 <= place < count, plugin, what, f"an index from 0 to {count - 1}", place)
        there = bool(beside) and all(0 <= other < others for other in beside)
        require(there, plugin, what, f"indices into the reference, from 0 to {others - 1}", beside)
        right = len(distances) == len(beside) and distances == sorted(distances)
        require(right, plugin, f"distances of the {what}", "one each, ascending", distances)


def _require_same(plugin: Metric, when: str, known: list[Neighbours], actual: list[Neighbours]) -> None:
    """Require that images that occur in both results have the same neighbours."""
    again = {place: (beside, distances) for place, beside, distances in actual}
    for place, beside, distances in known:
        now, at = again.get(place, (beside, distances))
        near = len(at) == len(distances) and all(
            abs(a - b) <= 1e-6 * max(abs(a), abs(b), 1.0) for a, b in zip(at, distances, strict=True)
        )
        require(near, plugin, f"distances of image {place} {when}", distances, at)
        require(now == beside, plugin, f"neighbours of image {place} {when}", beside, now)
