"""Whether a metric's statistics can be streamed, merged and stored, and missing images are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from safetensors.torch import load, save
from torch import Tensor

from noisette.contracts import Batch, Metric
from noisette.testing.check import Skip, fail, for_method, format_brief, require, skip_if
from noisette.testing.checks.metrics import (
    _TINY,
    Results,
    State,
    _compute_results,
    _full_state,
    _is_same_state,
    _neighbours_of,
    _none_if_refused,
    _results_of,
    _sets,
)
from noisette.testing.options import alternatives, format_plugin
from noisette.testing.other_process import run_in_other_process
from noisette.testing.sets import MetricSets, select_rows


@for_method("update")
def check_independent_of_order_and_batches(plugin: Metric) -> None:
    """Results do not depend on batch sizes or on the order of images, within 1e-6 of the far set's.

    An estimate from random subsets may differ by its standard error when the order changes.
    """
    sets = _sets(plugin)
    count = len(sets.near.images)
    whole = _results_of(plugin, "near")
    for sizes in ([count // 4] * 4, [count // 3, 1, count - count // 3 - 1]):
        split = _compute_results(plugin, sets, _state(plugin, sets.near, sizes))
        _same_results(plugin, f"from batches of {sizes}", whole, split, _scale(plugin))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(2))
    shuffled = _compute_results(plugin, sets, _full_state(plugin, select_rows(sets.near, order)))
    _same_results(plugin, "from images in another order", whole, shuffled, _scale(plugin), errors=1.0)


@for_method("merge")
def check_merge_equals_one_pass(plugin: Metric) -> None:
    """Merged statistics of two or three unequal parts, in any order, equal those of one pass.

    Merging `{}` changes nothing. Parts are unequal because equal ones hide a merge that ignores their sizes.
    """
    sets = _sets(plugin)
    whole = _results_of(plugin, "near")
    a, b, c = _parts(plugin, sets.near, (0.05, 0.5))
    left = _compute_results(plugin, sets, plugin.merge(plugin.merge(a, b), c))
    _same_results(plugin, "after a merge of unequal parts", whole, left, _scale(plugin))
    a, b, c = _parts(plugin, sets.near, (0.25, 0.9))
    right = _compute_results(plugin, sets, plugin.merge(a, plugin.merge(b, c)))
    _same_results(plugin, "after a merge of unequal parts, the last two first", whole, right, _scale(plugin))
    turned = _compute_results(plugin, sets, plugin.merge(c, plugin.merge(b, a)))
    _same_results(plugin, "after a merge the other way round", whole, turned, _scale(plugin), errors=2.0)
    every = plugin.merge(plugin.merge(a, b), c)
    for what, state in (("{} and all", ({}, every)), ("all and {}", (every, {}))):
        actual = _none_if_refused(_compute_results, plugin, sets, plugin.merge(*state)) or {}
        _same_results(plugin, f"after a merge of {what}", whole, actual, _scale(plugin))


@for_method("update")
def check_precise_far_from_zero(plugin: Metric) -> None:
    """Results are precise if features are far from zero compared with their spread: 300 off, within 3e-5.

    Sums of squares in float32 lose all digits of the variance.
    """
    skip_if(plugin.needs != "features", plugin, "it reads no features")
    sets = _sets(plugin)
    moved = MetricSets(*(replace(one, features=_features(one) + 300) for one in vars(sets).values()))
    whole = _none_if_refused(_compute_results, plugin, moved, _full_state(plugin, moved.near))
    if whole is None:
        raise Skip(f"{format_plugin(plugin)}: it rejects such features")
    count = len(sets.near.images)
    split = _compute_results(plugin, moved, _state(plugin, moved.near, [count // 3, 1, count - count // 3 - 1]))
    far = _compute_results(plugin, moved, _full_state(plugin, moved.far))
    scale = {name: 30 * abs(far[name].value) for name in far}
    _same_results(plugin, "of features far from zero, in batches", whole, split, scale)


def check_state_is_tensors(plugin: Metric) -> None:
    """A state goes through safetensors and gives the same results: a reference's statistics are stored once."""
    sets = _sets(plugin)
    state = _state(plugin, sets.near, [len(sets.near.images) // 2] * 2)
    try:
        stored = load(save(state))
    except (RuntimeError, ValueError, AttributeError) as error:
        fail(plugin, "state for safetensors", "tensors", error)
    expected, actual = _compute_results(plugin, sets, state), _compute_results(plugin, sets, stored)
    _same_results(plugin, "of a stored state", expected, actual, scale={})


def check_shared_state_reads_no_option(plugin: Metric) -> None:
    """With `shares_state`, the state is the same whatever the options: others of its class are given it."""
    skip_if(not plugin.shares_state, plugin, "has a state of its own")
    near = _sets(plugin).near
    plain = _full_state(plugin, near)
    for key, others in alternatives(plugin).items():
        for other in others:
            same = _is_same_state(_full_state(other, near), plain)
            what, wanted = f"state with another {key!r}", "the same, as shares_state declares"
            require(same, plugin, what, wanted, "a different one")


def check_names_do_not_depend_on_sets(plugin: Metric) -> None:
    """Names of results do not depend on the sets, as they are columns of tables.

    Names consist of letters, digits and ``_-./``, the characters that trackers accept.
    """
    sets, known = _sets(plugin), set(_results_of(plugin, "near"))
    for name in known:
        plain = bool(name) and all(one.isalnum() or one in "_-./" for one in name)
        require(plain, plugin, "name of a result", "letters, digits and _-./", repr(name))
    near, reference, heldout = (_full_state(plugin, one) for one in (sets.near, sets.reference, sets.heldout))
    (half, *_), (part, *_) = (_parts(plugin, one, (0.6,)) for one in (sets.near, sets.reference))
    for given in ((half, reference, heldout), (near, part, heldout), (_full_state(plugin, sets.far), near, {})):
        actual = _none_if_refused(plugin.compute, *given) or {}
        new = sorted(set(actual) - known)
        require(not new, plugin, "names of the results of other sets", f"among {sorted(known)}", new)


def check_nothing_is_refused(plugin: Metric) -> None:
    """A set without images raises a `DataError`.

    One or two images do not all have the same value that is better than a far set's.
    """
    sets = _sets(plugin)
    near, reference, heldout = (_full_state(plugin, one) for one in (sets.near, sets.reference, sets.heldout))
    for what, real in (("nothing judged", reference), ("two sets of nothing", {})):
        actual = _none_if_refused(plugin.compute, {}, real, heldout)
        require(actual is None, plugin, f"results of {what}", "a DataError", format_brief(actual))
    if plugin.needs == "model" or plugin.better == "neither":
        return
    without = _none_if_refused(plugin.compute, near, {}, heldout)
    same = without is None or without == _results_of(plugin, "near")  # some metrics do not use the reference
    require(same, plugin, "results of no reference", "a DataError", format_brief(without))
    far = _results_of(plugin, "far")
    for size in (1, 2):
        few = [select_rows(sets.far, slice(first, first + size)) for first in (0, 4, 9, 15)]
        tried = [_none_if_refused(_compute_results, plugin, sets, _full_state(plugin, one)) for one in few]
        said = [one for one in tried if one is not None]
        for name in far if len(said) == len(few) else ():
            values = {one[name].value for one in said if name in one}
            sign = 1 if plugin.better == "higher" else -1
            empty = len(values) == 1 and all(sign * (value - far[name].value) > 0 for value in values)
            expected = f"a DataError, or worse than {far[name].value:.4g} of all far ones"
            require(not empty, plugin, f"{name} of any {size} far images", expected, format_brief(sorted(values)))


def check_reads_every_feature(plugin: Metric) -> None:
    """A metric of features depends on every dimension."""
    skip_if(plugin.needs != "features" or plugin.needs_logits, plugin, "it reads no features, or logits too")
    sets = _sets(plugin)
    plain = _results_of(plugin, "near")
    for place in range(_features(sets.near).shape[1]):
        features = _features(sets.near).clone()
        features[:, place] = 2 * features[:, place].roll(1) + 1
        actual = _compute_results(plugin, sets, _full_state(plugin, replace(sets.near, features=features)))
        what = f"results after a change of feature {place}"
        require(actual != plain, plugin, what, "different results", "the same")


def check_indices_survive_a_merge(plugin: Metric) -> None:
    """Neighbours of merged parts are those of the whole set, with indices into the whole."""
    sets = _sets(plugin)
    expected = _neighbours_of(plugin)
    a, b, c = _parts(plugin, sets.near, (0.25, 0.6))
    actual = plugin.neighbours(plugin.merge(plugin.merge(a, b), c), _full_state(plugin, sets.reference))
    same = [(one.image, one.nearest) for one in actual] == [(one.image, one.nearest) for one in expected]
    require(same, plugin, "neighbours of merged parts", "those of the whole set", "different ones")


def check_options_keep_the_promises(plugin: Metric) -> None:
    """For other values of options too, merged unequal parts equal the whole."""
    sets = _sets(plugin)
    for other in (tried[0] for tried in alternatives(plugin).values() if tried):
        whole = _none_if_refused(_compute_results, other, sets, _full_state(other, sets.near))
        if whole is not None:
            a, b = _parts(other, sets.near, (0.3,))
            scale = {name: abs(one.value) for name, one in whole.items()}
            merged = _compute_results(other, sets, other.merge(a, b))
            _same_results(other, "after a merge of unequal parts", whole, merged, scale)


def check_same_in_another_process(plugin: Metric) -> None:
    """Another process, with other hashes of strings, gives the same results, to 1e-6."""
    here, there = process_fingerprint(plugin), run_in_other_process(plugin, __name__, "process_fingerprint")
    require(here.keys() == there.keys(), plugin, "names of results in another process", sorted(here), sorted(there))
    for name, value in here.items():
        near = abs(value - there[name]) <= 1e-6 * max(abs(value), 1e-6)
        require(near, plugin, f"{name} in another process", value, there[name])


def _parts(plugin: Metric, batch: Batch, cuts: Sequence[float]) -> list[State]:
    """Return the states of parts of a batch that is split at these fractions."""
    count = len(batch.images)
    places = [0, *(max(round(share * count), 1) for share in cuts), count]
    return [_full_state(plugin, select_rows(batch, slice(*ends))) for ends in pairwise(places)]


def _features(batch: Batch) -> Tensor:
    assert batch.features is not None
    return batch.features


def _state(plugin: Metric, batch: Batch, sizes: Sequence[int]) -> State:
    state: State = {}
    first = 0
    for size in sizes:
        state = plugin.update(state, select_rows(batch, slice(first, first + size)))
        first += size
    return state


def _scale(plugin: Metric) -> dict[str, float]:
    return {name: abs(estimate.value) for name, estimate in _results_of(plugin, "far").items()}


def _same_results(
    plugin: Metric, what: str, expected: Results, actual: Results, scale: dict[str, float], errors: float = 0.0
) -> None:
    """Require the same results, to 1e-6 of the larger of `scale` and the value, and so many standard errors."""
    same = sorted(actual) == sorted(expected)
    require(same, plugin, f"names of the results {what}", sorted(expected), sorted(actual))
    for name, (value, stderr) in expected.items():
        limit = _TINY * max(scale.get(name, 0.0), abs(value)) + errors * (stderr or 0.0)
        off = abs(actual[name].value - value)
        actual_value = f"{format_brief(actual[name].value)}, {off:.2g} off"
        require(off <= limit, plugin, f"{name} {what}", f"{format_brief(value)} within {limit:.2g}", actual_value)
        _same_error(plugin, f"{name} {what}", stderr, actual[name].stderr, share=0.5 if errors else 1e-4)


def _same_error(plugin: Metric, what: str, expected: float | None, actual: float | None, share: float) -> None:
    """Require that a standard error is the same within a relative tolerance, as it has an error itself."""
    same = (expected is None) == (actual is None)
    if expected is not None and actual is not None:
        same = abs(actual - expected) <= share * max(expected, actual) + 1e-12
    require(same, plugin, f"standard error of {what}", expected, actual)


def process_fingerprint(plugin: Metric) -> dict[str, float]:
    """Return the values of the near set by name."""
    return {name: float(one.value) for name, one in _results_of(plugin, "near").items()}
