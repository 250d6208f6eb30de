"""Whether a metric's statistics can be streamed, merged and stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from safetensors.torch import load, save
from torch import Tensor

from noisette.contracts import Batch, Metric
from noisette.testing.check import Skip, about, fail, require
from noisette.testing.checks.metrics import (
    _TINY,
    Results,
    State,
    _compared,
    _judged,
    _sets,
    _unless_refused,
    _whole,
)
from noisette.testing.options import alternatives, shown
from noisette.testing.sets import Sets, part_of
from noisette.testing.wording import brief


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


def check_state_is_tensors(plugin: Metric) -> None:
    """A state goes through safetensors and gives the same results: a reference's statistics are stored once."""
    sets = _sets(plugin)
    state = _state(plugin, sets.near, [len(sets.near.pictures) // 2] * 2)
    try:
        stored = load(save(state))
    except (RuntimeError, ValueError, AttributeError) as error:
        fail(plugin, "state for safetensors", "tensors", error)
    _same_results(plugin, "of a stored state", _judged(plugin, sets, state), _judged(plugin, sets, stored), 0.0)


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
