"""Whether a metric measures what it says, from statistics that can be streamed, merged and stored.

The sets are those of `noisette.testing.sets`. A `ModelMetric` is given the same pictures with a model that knows
them somewhat, and as the far set with one that does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import TypeVar

import torch
from safetensors.torch import load, save
from torch import Tensor

from noisette.contracts import Batch, Estimate, Metric, ModelMetric, Neighbours
from noisette.errors import DataError
from noisette.testing.check import Skip, about, fail, require
from noisette.testing.options import alternatives, shown, silent_options
from noisette.testing.probes import global_random_state_kept, global_seeds
from noisette.testing.sets import Sets, made, made_for_models, part_of
from noisette.testing.wording import brief

State = dict[str, Tensor]
Results = dict[str, Estimate]
Made = TypeVar("Made")

_COUNTS = (256, 1024)
_OF_MODELS = 24
_TINY = 1e-6


def check_results_are_estimates(plugin: Metric) -> None:
    """Results have names, finite values, errors that are not negative; `over_inception` names results it gives."""
    results = _compared(plugin, "near")
    require(bool(results), plugin, "results", "at least one", "none")
    for name, estimate in results.items():
        require(isinstance(estimate, Estimate), plugin, f"result {name!r}", "an Estimate", type(estimate).__name__)
        for part in estimate if estimate.stderr is not None else estimate[:1]:
            plain = isinstance(part, float | int) and not isinstance(part, bool)
            require(plain, plugin, f"values of the result {name!r}", "Python numbers", type(part).__name__)
        _finite(plugin, name, estimate)
    unknown = sorted(set(plugin.over_inception) - set(results))
    require(not unknown, plugin, "over_inception", f"names among {sorted(results)}", unknown)


def check_nothing_between_a_set_and_itself(plugin: Metric) -> None:
    """A distance of a set to itself is 0, within 1e-6 or 0.1 % of a far set's.

    An unbiased estimate, which comes with its standard error, may be 3 of them or 2 % of the far set's below 0
    (KID: pictures are not compared with themselves within a set, but are across). Only where lower is better.
    """
    if plugin.better != "lower":
        raise Skip(f"{shown(plugin)}: {plugin.better} is better, so it is no distance")
    if plugin.needs == "model":
        raise Skip(f"{shown(plugin)}: it judges a model, and compares no sets")
    same, far = _compared(plugin, "reference"), _compared(plugin, "far")
    for name, (value, stderr) in same.items():
        share = 1e-3 if stderr is None else 0.02
        limit = max(_TINY, share * abs(far[name].value), 3 * (stderr or 0.0))
        require(
            abs(value) <= limit, plugin, f"{name} of a set with itself", f"0 within {limit:.3g}", f"{value:.6g}"
        )


def check_near_beats_far(plugin: Metric) -> None:
    """A set drawn as the reference scores better than one with other brightness and more grain.

    What is lost in one result (recall, which grain raises) must be less than what is gained in others, as shares of
    the values. Where neither way is better they need only differ.
    """
    near, far = _compared(plugin, "near"), _compared(plugin, "far")
    if plugin.better == "neither":
        require(near != far, plugin, "results of near and far", "one that differs", "none")
        return
    sign = 1 if plugin.better == "higher" else -1
    gains = {name: _gain(sign, near[name].value, far[name].value) for name in near}
    shown_gains = ", ".join(f"{name} {near[name].value:.6g} against {far[name].value:.6g}" for name in near)
    expected = f"in all better, where {plugin.better} is better"
    require(sum(gains.values()) > 0, plugin, "results of the near set against the far set's", expected, shown_gains)


def _gain(sign: int, near: float, far: float) -> float:
    """Return by what share of both a value is better than another."""
    return sign * (near - far) / max(abs(near) + abs(far), _TINY)


@about("update")
def check_order_and_batches_do_not_matter(plugin: Metric) -> None:
    """Any batch sizes and any order of the pictures give the same results, to 1e-6 of the far set's.

    An estimate from random subsets may differ by its standard error when the order changes, not when batches do.
    """
    sets = _sets(plugin)
    count = len(sets.near.pictures)
    whole = _judged(plugin, sets, _whole(plugin, sets.near))
    for sizes in ([count // 4] * 4, [count // 3, 1, count - count // 3 - 1]):
        split = _judged(plugin, sets, _state(plugin, sets.near, sizes))
        _same_results(plugin, f"from batches of {sizes}", whole, split, _scale(plugin))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(2))
    shuffled = _judged(plugin, sets, _whole(plugin, part_of(sets.near, order)))
    _same_results(plugin, "from pictures in another order", whole, shuffled, _scale(plugin), errors=1.0)


@about("merge")
def check_merge_equals_one_pass(plugin: Metric) -> None:
    """Statistics of two or three parts of unequal size, merged any way round, are those of one pass.

    Those of nothing change nothing. Equal halves would hide a merge that forgets how many pictures each part had.
    """
    sets = _sets(plugin)
    whole = _judged(plugin, sets, _whole(plugin, sets.near))
    a, b, c = _parts(plugin, sets.near, (0.05, 0.5))
    left = _judged(plugin, sets, plugin.merge(plugin.merge(a, b), c))
    _same_results(plugin, "after a merge of unequal parts", whole, left, _scale(plugin))
    a, b, c = _parts(plugin, sets.near, (0.25, 0.9))
    right = _judged(plugin, sets, plugin.merge(a, plugin.merge(b, c)))
    _same_results(plugin, "after a merge of unequal parts, the last two first", whole, right, _scale(plugin))
    turned = _judged(plugin, sets, plugin.merge(c, plugin.merge(b, a)))
    _same_results(plugin, "after a merge the other way round", whole, turned, _scale(plugin), errors=2.0)
    every = plugin.merge(plugin.merge(a, b), c)
    for what, state in (("{} and all", ({}, every)), ("all and {}", (every, {}))):
        came = _unless_refused(_judged, plugin, sets, plugin.merge(*state)) or {}
        _same_results(plugin, f"after a merge of {what}", whole, came, _scale(plugin))


@about("update")
def check_order_does_not_matter_far_from_zero(plugin: Metric) -> None:
    """Sums are exact enough where values are large beside their spread: features 300 off, in batches, to 3e-5.

    Sums of squares in float32 would lose all digits of the variance.
    """
    if plugin.needs != "features":
        raise Skip(f"{shown(plugin)}: it reads no features")
    sets = _sets(plugin)
    moved = Sets(*(replace(one, features=_features(one) + 300) for one in vars(sets).values()))
    whole = _unless_refused(_judged, plugin, moved, _whole(plugin, moved.near))
    if whole is None:
        raise Skip(f"{shown(plugin)}: it refuses such features")
    count = len(sets.near.pictures)
    split = _judged(plugin, moved, _state(plugin, moved.near, [count // 3, 1, count - count // 3 - 1]))
    far = _judged(plugin, moved, _whole(plugin, moved.far))
    scale = {name: 30 * abs(far[name].value) for name in far}
    _same_results(plugin, "of features far from zero, in batches", whole, split, scale)


def check_leaves_its_inputs_alone(plugin: Metric) -> None:
    """`update`, `merge` and `compute` change nothing that they are given, and leave the global generators alone."""
    sets = _sets(plugin)
    a, b, c = (_whole(plugin, batch) for batch in (sets.near, sets.reference, sets.heldout))
    given = {"a": a, "b": b, "c": c, "batch": _tensors(sets.near)}
    before = {name: {key: tensor.clone() for key, tensor in state.items()} for name, state in given.items()}
    actions: dict[str, Callable[[], object]] = {
        "update": lambda: plugin.update(a, sets.near),
        "merge": lambda: plugin.merge(a, b),
        "compute": lambda: plugin.compute(a, b, c),
    }
    for action, act in actions.items():
        with global_random_state_kept(plugin, action):
            act()
        for name, state in given.items():
            same = state.keys() == before[name].keys() and all(
                torch.equal(state[k], before[name][k]) for k in state
            )
            require(same, plugin, f"{name} after {action}", "unchanged", "another")


def check_same_results_every_time(plugin: Metric) -> None:
    """Two comparisons of the same statistics give the same numbers, whatever was compared or seeded between."""
    sets = _sets(plugin)
    with global_seeds(1):
        first = _judged(plugin, sets, _whole(plugin, sets.near))
        _judged(plugin, sets, _whole(plugin, sets.far))
    with global_seeds(2):
        second = _judged(plugin, sets, _whole(plugin, sets.near))
    require(first == second, plugin, "results of a second comparison", first, second)


def check_state_is_tensors(plugin: Metric) -> None:
    """A state goes through safetensors and gives the same results: a reference's statistics are stored once."""
    sets = _sets(plugin)
    state = _state(plugin, sets.near, [len(sets.near.pictures) // 2] * 2)
    try:
        stored = load(save(state))
    except (RuntimeError, ValueError, AttributeError) as error:
        fail(plugin, "state for safetensors", "tensors", error)
    _same_results(plugin, "of a stored state", _judged(plugin, sets, state), _judged(plugin, sets, stored), 0.0)


def check_never_nan(plugin: Metric) -> None:
    """None, one, two or equal pictures give a `DataError` or finite values, never NaN."""
    sets = _sets(plugin)
    equal = part_of(sets.near, torch.zeros(40, dtype=torch.int64))
    cases = {
        "no picture": {},
        "one picture": _whole(plugin, part_of(sets.near, slice(1))),
        "two pictures": _whole(plugin, part_of(sets.near, slice(2))),
        "40 equal pictures": _whole(plugin, equal),
    }
    reference, heldout = _whole(plugin, sets.reference), _whole(plugin, sets.heldout)
    for what, state in cases.items():
        for generated, real in ((state, reference), (reference, state), (state, state)):
            for name, estimate in (_unless_refused(plugin.compute, generated, real, heldout) or {}).items():
                _finite(plugin, f"{name} of {what}", estimate)


def check_reads_what_it_needs(plugin: Metric) -> None:
    """A metric of pictures works without features; one that needs no labels works without them."""
    sets = _sets(plugin)
    labels = None if not plugin.needs_labels else sets.reference.labels
    features = sets.reference.features if plugin.needs == "features" else None
    logits = sets.reference.logits if plugin.needs_logits else None
    bare = replace(sets.reference, features=features, labels=labels, logits=logits)
    generated = replace(
        sets.near,
        features=sets.near.features if plugin.needs == "features" else None,
        labels=None,
        logits=sets.near.logits if plugin.needs_logits else None,
    )
    try:
        results = plugin.compute(_whole(plugin, generated), _whole(plugin, bare), _whole(plugin, bare))
    except (TypeError, AttributeError, KeyError) as error:
        needs = f"{plugin.needs}, needs_labels={plugin.needs_labels}, needs_logits={plugin.needs_logits}"
        fail(plugin, f"declares needs={needs}", "results", repr(error))
    require(bool(results), plugin, "results from what it needs", "some", "none")


def check_neighbours_are_places(plugin: Metric) -> None:
    """Pictures to be shown beside reference pictures are named by places in both sets, the nearest first."""
    sets = _sets(plugin)
    for place, beside, distances in _shown_beside(plugin):
        what = f"neighbours of picture {place}"
        require(0 <= place < len(sets.near.pictures), plugin, what, "a place in the set", place)
        there = bool(beside) and all(0 <= other < len(sets.reference.pictures) for other in beside)
        require(there, plugin, what, "places in the reference", beside)
        right = len(distances) == len(beside) and distances == sorted(distances)
        require(right, plugin, f"distances of the {what}", "one each, ascending", distances)


def check_shared_state_reads_no_option(plugin: Metric) -> None:
    """With `shares_state`, the state is the same whatever the options: others of its class are given it."""
    if not plugin.shares_state:
        raise Skip(f"{shown(plugin)}: has a state of its own")
    near = _sets(plugin).near
    plain = _whole(plugin, near)
    for key, others in alternatives(plugin).items():
        for other in others:
            state = _whole(other, near)
            same = state.keys() == plain.keys() and all(torch.equal(state[name], plain[name]) for name in plain)
            require(same, plugin, f"state with another {key!r}", "the same, as it is shared", "another")


def check_every_option_counts(plugin: Metric) -> None:
    """Each option changes a result, if only to a refusal, or what is shown: none is read and forgotten."""
    beside = ModelMetric.model_fields if isinstance(plugin, ModelMetric) else ()  # `count` is core's

    def seen(metric: Metric) -> object:
        return _unless_refused(_compared, metric, "near"), _unless_refused(_shown_beside, metric)

    for key in silent_options(plugin, seen, beside=beside):
        require(False, plugin, f"option {key!r}", "an effect on the results", "none")


@cache
def _sets(plugin: Metric) -> Sets:
    """Return sets that are large enough for the metric."""
    if isinstance(plugin, ModelMetric):
        return made_for_models(_OF_MODELS)
    for count in _COUNTS:
        sets = made(count)
        if _unless_refused(_judged, plugin, sets, _whole(plugin, sets.near)) is not None:
            return sets
    raise Skip(f"{shown(plugin)}: wants more than {_COUNTS[-1]} pictures, which are too many for a quick check")


@cache
def _compared(plugin: Metric, generated: str) -> Results:
    """Compare one of the sets with the reference, once for all checks."""
    sets = _sets(plugin)
    return _judged(plugin, sets, _whole(plugin, getattr(sets, generated)))


def _judged(plugin: Metric, sets: Sets, state: State) -> Results:
    """Compare a state with the sets' reference; the results are a dictionary of finite estimates."""
    results = plugin.compute(state, _whole(plugin, sets.reference), _whole(plugin, sets.heldout))
    require(
        isinstance(results, dict), plugin, "results", "a dictionary", type(results).__name__, cause="no results"
    )
    for name, estimate in results.items():
        is_estimate = isinstance(estimate, tuple) and len(estimate) == 2
        require(
            is_estimate, plugin, f"result {name!r}", "an Estimate", type(estimate).__name__, cause="no estimate"
        )
        _finite(plugin, name, estimate)
    return results


def _shown_beside(plugin: Metric) -> list[Neighbours]:
    sets = _sets(plugin)
    return plugin.neighbours(_whole(plugin, sets.near), _whole(plugin, sets.reference))


def _whole(plugin: Metric, batch: Batch) -> State:
    state = plugin.update({}, batch)
    require(
        isinstance(state, dict), plugin, "state from update", "a dictionary", type(state).__name__, cause="no state"
    )
    return state


def _parts(plugin: Metric, batch: Batch, cuts: Sequence[float]) -> list[State]:
    """Return the states of parts of a batch that is cut at these shares of it."""
    count = len(batch.pictures)
    places = [0, *(max(round(share * count), 1) for share in cuts), count]
    return [_whole(plugin, part_of(batch, slice(*ends))) for ends in pairwise(places)]


def _features(batch: Batch) -> Tensor:
    assert batch.features is not None
    return batch.features


def _state(plugin: Metric, batch: Batch, sizes: Sequence[int]) -> State:
    state: State = {}
    first = 0
    for size in sizes:
        state = plugin.update(state, part_of(batch, slice(first, first + size)))
        first += size
    return state


def _tensors(batch: Batch) -> State:
    return {name: value for name, value in vars(batch).items() if isinstance(value, Tensor)}


def _scale(plugin: Metric) -> dict[str, float]:
    return {name: abs(estimate.value) for name, estimate in _compared(plugin, "far").items()}


def _same_results(
    plugin: Metric,
    what: str,
    expected: Results,
    came: Results,
    scale: dict[str, float] | float,
    errors: float = 0.0,
) -> None:
    same = sorted(came) == sorted(expected)
    require(same, plugin, f"names of the results {what}", sorted(expected), sorted(came))
    for name, (value, stderr) in expected.items():
        size = scale if isinstance(scale, float) else scale[name]
        limit = _TINY * max(size, abs(value)) + errors * (stderr or 0.0)
        off = abs(came[name].value - value)
        told = f"{brief(came[name].value)}, {off:.2g} off"
        require(off <= limit, plugin, f"{name} {what}", f"{brief(value)} within {limit:.2g}", told)
        _same_error(plugin, f"{name} {what}", stderr, came[name].stderr, share=0.5 if errors else 1e-4)


def _same_error(plugin: Metric, what: str, expected: float | None, came: float | None, share: float) -> None:
    """Require that a standard error is the same within a share of it, as it has an error of its own."""
    same = (expected is None) == (came is None)
    if expected is not None and came is not None:
        same = abs(came - expected) <= share * max(expected, came) + 1e-12
    require(same, plugin, f"standard error of {what}", expected, came)


def _finite(plugin: Metric, name: str, estimate: Estimate) -> None:
    finite = math.isfinite(estimate[0]) and (estimate[1] is None or 0 <= estimate[1] < math.inf)
    cause = None if math.isfinite(estimate[0]) else "not finite"
    require(finite, plugin, name, "a finite value, its error not negative, or a DataError", estimate, cause=cause)


def _unless_refused(act: Callable[..., Made], *arguments: object) -> Made | None:
    try:
        return act(*arguments)
    except DataError:
        return None
