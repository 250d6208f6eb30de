"""Whether a metric's results are valid estimates that order sets of images correctly, and its neighbours are valid.

The sets are those of `noisette.testing.sets`. A `ModelMetric` gets the same images with a model that predicts
their mean, and for the far set with a wrong one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from noisette.contracts import Batch, Estimate, Metric, ModelMetric, Neighbours
from noisette.errors import DataError
from noisette.testing.check import Skip, fail, for_method, require, skip_if
from noisette.testing.options import find_ineffective_options, format_plugin
from noisette.testing.probes import require_same_random_state, seed_globally
from noisette.testing.sets import MetricSets, make_model_sets, make_sets, select_rows

State = dict[str, Tensor]

Results = dict[str, Estimate]

Made = TypeVar("Made")

_COUNTS = (256, 1024)

_OF_MODELS = 24

_TINY = 1e-6

_FEW = 6


def check_results_are_estimates(plugin: Metric) -> None:
    """Results are named estimates with finite values and errors; `published_names` only names such results."""
    results = _results_of(plugin, "near")
    require(bool(results), plugin, "results", "at least one", "none")
    for name, estimate in results.items():
        require(isinstance(estimate, Estimate), plugin, f"result {name!r}", "an Estimate", type(estimate).__name__)
        for part in estimate if estimate.stderr is not None else estimate[:1]:
            plain = isinstance(part, float | int) and not isinstance(part, bool)
            require(plain, plugin, f"values of the result {name!r}", "Python numbers", type(part).__name__)
        _finite(plugin, name, estimate)
    unknown = sorted({result for names in plugin.published_names.values() for result in names} - set(results))
    require(not unknown, plugin, "published_names", f"names among {sorted(results)}", unknown)


def check_zero_for_identical_sets(plugin: Metric) -> None:
    """The distance of a set to itself is 0, within 1e-6 or 0.1 % of that of a far set.

    An unbiased estimate with a standard error, such as KID, may be off by 3 standard errors or 2 % of the far set's
    distance. Only where lower is better.
    """
    skip_if(plugin.better != "lower", plugin, f"{plugin.better} is better, so it is not a distance")
    skip_if(plugin.needs == "model", plugin, "it evaluates a model and does not compare sets")
    same, far = _results_of(plugin, "reference"), _results_of(plugin, "far")
    for name, (value, stderr) in same.items():
        share = 1e-3 if stderr is None else 0.02
        limit = max(_TINY, share * abs(far[name].value), 3 * (stderr or 0.0))
        require(abs(value) <= limit, plugin, f"{name} of a set and itself", f"0 within {limit:.3g}", f"{value:.6g}")


def check_near_beats_far(plugin: Metric) -> None:
    """A set from the reference's distribution scores better than one with other brightness and more grain.

    Relative losses in one result, such as recall, must be smaller than the gains in others. If better is "neither",
    the results need only differ.
    """
    near, far = _results_of(plugin, "near"), _results_of(plugin, "far")
    if plugin.better == "neither":
        require(near != far, plugin, "results of near and far", "a difference", "none")
        return
    sign = 1 if plugin.better == "higher" else -1
    gains = {name: _gain(sign, near[name].value, far[name].value) for name in near}
    shown_gains = ", ".join(f"{name} {near[name].value:.6g} against {far[name].value:.6g}" for name in near)
    expected = f"better in total, where {plugin.better} is better"
    require(
        sum(gains.values()) > 0, plugin, "results of the near set compared with the far set", expected, shown_gains
    )


def check_leaves_its_inputs_alone(plugin: Metric) -> None:
    """`update`, `merge` and `compute` do not change their arguments or the global random generators."""
    sets = _sets(plugin)
    a, b, c = (_full_state(plugin, batch) for batch in (sets.near, sets.reference, sets.heldout))
    given = {"a": a, "b": b, "c": c, "batch": _tensors(sets.near)}
    before = {name: {key: tensor.clone() for key, tensor in state.items()} for name, state in given.items()}
    actions: dict[str, Callable[[], object]] = {
        "update": lambda: plugin.update(a, sets.near),
        "merge": lambda: plugin.merge(a, b),
        "compute": lambda: plugin.compute(a, b, c),
    }
    for action, act in actions.items():
        with require_same_random_state(plugin, action):
            act()
        for name, state in given.items():
            same = _is_same_state(state, before[name])
            require(same, plugin, f"{name} after {action}", "unchanged", "changed")


def check_results_are_deterministic(plugin: Metric) -> None:
    """Two comparisons of the same statistics give the same results, independent of other comparisons and seeds."""
    sets = _sets(plugin)
    with seed_globally(1):
        first = _compute_results(plugin, sets, _full_state(plugin, sets.near))
        _compute_results(plugin, sets, _full_state(plugin, sets.far))
    with seed_globally(2):
        second = _compute_results(plugin, sets, _full_state(plugin, sets.near))
    require(first == second, plugin, "results of a second comparison", first, second)


def check_never_nan(plugin: Metric) -> None:
    """No, one, two or equal images give a `DataError` or finite values, never NaN."""
    sets = _sets(plugin)
    equal = select_rows(sets.near, torch.zeros(40, dtype=torch.int64))
    cases = {
        "no image": {},
        "one image": _full_state(plugin, select_rows(sets.near, slice(1))),
        "two images": _full_state(plugin, select_rows(sets.near, slice(2))),
        "40 equal images": _full_state(plugin, equal),
    }
    reference, heldout = _full_state(plugin, sets.reference), _full_state(plugin, sets.heldout)
    for what, state in cases.items():
        for generated, real in ((state, reference), (reference, state), (state, state)):
            for name, estimate in (_none_if_refused(plugin.compute, generated, real, heldout) or {}).items():
                _finite(plugin, f"{name} of {what}", estimate)


def check_reads_what_it_needs(plugin: Metric) -> None:
    """A metric of images works without features; one that needs no labels works without them."""
    sets = _sets(plugin)
    unused: dict[str, Any] = {
        **({} if plugin.needs == "features" else {"features": None}),
        **({} if plugin.needs_logits else {"logits": None}),
    }
    bare = replace(sets.reference, **unused, labels=sets.reference.labels if plugin.needs_labels else None)
    generated = replace(sets.near, **unused, labels=None)
    try:
        reference, heldout = _full_state(plugin, bare), _full_state(plugin, bare)
        results = plugin.compute(_full_state(plugin, generated), reference, heldout)
    except (TypeError, AttributeError, KeyError) as error:
        needs = f"{plugin.needs}, needs_labels={plugin.needs_labels}, needs_logits={plugin.needs_logits}"
        fail(plugin, f"declares needs={needs}", "results", repr(error))
    require(bool(results), plugin, "results from what it needs", "at least one", "none")


def check_every_option_has_an_effect(plugin: Metric) -> None:
    """Each option changes a result or the neighbours."""
    beside = ModelMetric.model_fields if isinstance(plugin, ModelMetric) else ()  # `count` is core's

    def seen(metric: Metric) -> object:
        return _none_if_refused(_results_of, metric, "near"), _none_if_refused(_neighbours_of, metric)

    for key in find_ineffective_options(plugin, seen, exclude=beside):
        require(False, plugin, f"option {key!r}", "an effect on the results", "none")


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
    skip_if(type(plugin).neighbours is Metric.neighbours, plugin, "it returns no neighbours")
    near, reference = (select_rows(one, slice(_FEW)) for one in (_sets(plugin).near, _sets(plugin).reference))
    known = _neighbours_of_few(plugin, near, reference)
    back = torch.arange(_FEW - 1, -1, -1)
    reversed_sets = _neighbours_of_few(plugin, select_rows(near, back), select_rows(reference, back))
    turned = [
        Neighbours(_FEW - 1 - place, [_FEW - 1 - other for other in beside], distances)
        for place, beside, distances in reversed_sets
    ]
    _require_same(plugin, "where both sets are turned round", known, turned)
    parts = [_full_state(plugin, select_rows(near, rows)) for rows in (slice(2), slice(2, None))]
    merged = plugin.neighbours(plugin.merge(*parts), _full_state(plugin, reference))
    _require_same(plugin, "of a merged set", known, merged)


def _gain(sign: int, near: float, far: float) -> float:
    """Return how much better a value is, relative to both."""
    return sign * (near - far) / max(abs(near) + abs(far), _TINY)


@cache
def _sets(plugin: Metric) -> MetricSets:
    """Return sets that are large enough for the metric."""
    if isinstance(plugin, ModelMetric):
        return make_model_sets(_OF_MODELS)
    for count in _COUNTS:
        sets = make_sets(count)
        if _none_if_refused(_compute_results, plugin, sets, _full_state(plugin, sets.near)) is not None:
            return sets
    raise Skip(f"{format_plugin(plugin)}: needs more than {_COUNTS[-1]} images, too many for a quick check")


@cache
def _results_of(plugin: Metric, generated: str) -> Results:
    """Compare one of the sets with the reference, cached for all checks."""
    sets = _sets(plugin)
    return _compute_results(plugin, sets, _full_state(plugin, getattr(sets, generated)))


def _compute_results(plugin: Metric, sets: MetricSets, state: State) -> Results:
    """Compare a state with the sets' reference, and require a dictionary of finite estimates."""
    results = plugin.compute(state, _full_state(plugin, sets.reference), _full_state(plugin, sets.heldout))
    named = isinstance(results, dict)
    require(named, plugin, "results", "a dictionary", type(results).__name__, cause="no results")
    for name, estimate in results.items():
        right, found = isinstance(estimate, tuple) and len(estimate) == 2, type(estimate).__name__
        require(right, plugin, f"result {name!r}", "an Estimate", found, cause="no estimate")
        _finite(plugin, name, estimate)
    return results


def _neighbours_of(plugin: Metric) -> list[Neighbours]:
    sets = _sets(plugin)
    return plugin.neighbours(_full_state(plugin, sets.near), _full_state(plugin, sets.reference))


def _full_state(plugin: Metric, batch: Batch) -> State:
    state = plugin.update({}, batch)
    named = isinstance(state, dict)
    require(named, plugin, "state from update", "a dictionary", type(state).__name__, cause="no state")
    return state


def _is_same_state(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def _tensors(batch: Batch) -> State:
    return {name: value for name, value in vars(batch).items() if isinstance(value, Tensor)}


def _finite(plugin: Metric, name: str, estimate: Estimate) -> None:
    finite = math.isfinite(estimate[0]) and (estimate[1] is None or 0 <= estimate[1] < math.inf)
    cause = None if math.isfinite(estimate[0]) else "not finite"
    require(finite, plugin, name, "a finite value, its error not negative, or a DataError", estimate, cause=cause)


def _none_if_refused(act: Callable[..., Made], *arguments: object) -> Made | None:
    try:
        return act(*arguments)
    except DataError:
        return None


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
