"""Whether a metric's results have fixed names, and missing images are refused."""

from __future__ import annotations

from dataclasses import replace

from noisette.contracts import Metric
from noisette.testing.check import Skip, require
from noisette.testing.checks.metric_states import _features, _parts, _same_results
from noisette.testing.checks.metrics import (
    Results,
    State,
    _compute_results,
    _full_state,
    _neighbours_of,
    _none_if_refused,
    _results_of,
    _sets,
)
from noisette.testing.options import alternatives, format_plugin
from noisette.testing.other_process import run_in_other_process
from noisette.testing.sets import select_rows
from noisette.testing.wording import format_brief


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
    cases: dict[str, tuple[State, State]] = {"nothing judged": ({}, reference), "two sets of nothing": ({}, {})}
    for what, given in cases.items():
        actual = _none_if_refused(plugin.compute, *given, heldout)
        require(actual is None, plugin, f"results of {what}", "a DataError", format_brief(actual))
    if plugin.needs == "model" or plugin.better == "neither":
        return
    without = _none_if_refused(plugin.compute, near, {}, heldout)
    same = without is None or without == _results_of(plugin, "near")  # some metrics do not use the reference
    require(same, plugin, "results of no reference", "a DataError", format_brief(without))
    _require_honest_for_few(plugin, _results_of(plugin, "far"))


def _require_honest_for_few(plugin: Metric, far: Results) -> None:
    """Require that one or two far images do not all have the same good value."""
    sets = _sets(plugin)
    for size in (1, 2):
        few = [select_rows(sets.far, slice(first, first + size)) for first in (0, 4, 9, 15)]
        actual = [_none_if_refused(_compute_results, plugin, sets, _full_state(plugin, one)) for one in few]
        said = [one for one in actual if one is not None]
        for name in far if len(said) == len(few) else ():
            values = {one[name].value for one in said if name in one}
            sign = 1 if plugin.better == "higher" else -1
            empty = len(values) == 1 and all(sign * (value - far[name].value) > 0 for value in values)
            expected = f"a DataError, or worse than {far[name].value:.4g} of all far ones"
            require(not empty, plugin, f"{name} of any {size} far images", expected, format_brief(sorted(values)))


def check_reads_every_feature(plugin: Metric) -> None:
    """A metric of features depends on every dimension."""
    if plugin.needs != "features" or plugin.needs_logits:
        raise Skip(f"{format_plugin(plugin)}: it reads no features, or logits too")
    sets = _sets(plugin)
    plain = _results_of(plugin, "near")
    for place in range(_features(sets.near).shape[1]):
        features = _features(sets.near).clone()
        features[:, place] = 2 * features[:, place].roll(1) + 1
        actual = _compute_results(plugin, sets, _full_state(plugin, replace(sets.near, features=features)))
        require(
            actual != plain, plugin, f"results after a change of feature {place}", "different results", "the same"
        )


def check_indices_survive_a_merge(plugin: Metric) -> None:
    """Neighbours of merged parts are those of the whole set, with indices into the whole."""
    sets = _sets(plugin)
    expected = _neighbours_of(plugin)
    a, b, c = _parts(plugin, sets.near, (0.25, 0.6))
    actual = plugin.neighbours(plugin.merge(plugin.merge(a, b), c), _full_state(plugin, sets.reference))
    same = [(one.place, one.beside) for one in actual] == [(one.place, one.beside) for one in expected]
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


def process_fingerprint(plugin: Metric) -> dict[str, float]:
    """Return the values of the near set by name."""
    return {name: float(one.value) for name, one in _results_of(plugin, "near").items()}
