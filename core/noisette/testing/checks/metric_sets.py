"""Whether a metric's standard errors are right, it uses all of its input, and gives the value of its paper.

A metric whose `paper` starts with a known paper is compared with it; one that differs from the paper declares it,
such as "after Heusel et al. 2017".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from statistics import fmean, stdev
from typing import Any, NamedTuple

import torch
from torch import Tensor

from noisette.contracts import Batch, Metric
from noisette.testing.check import Skip, require, skip_if
from noisette.testing.checks.metric_states import _features, _parts, _scale
from noisette.testing.checks.metrics import (
    _compute_results,
    _finite,
    _full_state,
    _none_if_refused,
    _results_of,
    _sets,
)
from noisette.testing.options import format_plugin, iter_alternatives
from noisette.testing.sets import MetricSets, iter_fresh_sets

_SETS = 12
"""Number of new sets; gives the spread of a result within 20 %."""

_PLACE = r"[^;]* {year}(, (code|(sections?|eqs?\.|algorithms?|tables?|appendix) [\w. ,]+( and \w+)?))?(;.*)?"


def check_stderr_matches_new_sets(plugin: Metric) -> None:
    """Reported standard errors are between 0.45 and 5 times the spread of the results over new sets.

    Twelve pairs of a judged set and a reference; an error of 0, or one that sinks with the number of subsets
    instead of that of images, is below; one that is a deviation and no error of a mean is above. Up to 30 times
    is let pass below 8 % of the value, as of a sketch that says how exact it is at worst. A result without error is
    not judged.
    """
    skip_if(plugin.needs == "model", plugin, "it evaluates a model, of which there is only one")
    sets = _sets(plugin)
    results = [
        _compute_results(plugin, one, _full_state(plugin, one.near))
        for one in iter_fresh_sets(len(sets.near.images), _SETS)
    ]
    for name in results[0]:
        told = [one[name].stderr for one in results if name in one]
        errors = [error for error in told if error is not None]
        spread = stdev(one[name].value for one in results if name in one)
        if not errors or spread <= 1e-9 * abs(_scale(plugin)[name]):
            continue
        ratio = fmean(errors) / spread
        actual = f"{fmean(errors):.3g}, {ratio:.2g} times it"
        small = fmean(errors) <= 0.08 * abs(fmean(one[name].value for one in results if name in one))
        right = 0.45 <= ratio <= (30 if small else 5)
        wanted = f"about {spread:.3g}, the spread over {_SETS} new sets"
        require(right, plugin, f"standard error of {name}", wanted, actual)


def check_counts_of_both_sets(plugin: Metric) -> None:
    """Results hardly depend on the size of either set: half as many generated or reference images.

    The result moves by less than half of what the far set is worse: a count of one set that is used for the other
    moves it further.
    """
    skip_if(plugin.needs == "model", plugin, "it evaluates a model and does not compare sets")
    sets = _sets(plugin)
    near, far = _results_of(plugin, "near"), _results_of(plugin, "far")
    (half, *_), (other, *_) = (_parts(plugin, one, (0.5,)) for one in (sets.near, sets.reference))
    whole, reference, heldout = (_full_state(plugin, one) for one in (sets.near, sets.reference, sets.heldout))
    for what, given in (("judged set", (half, reference)), ("reference", (whole, other))):
        actual = _none_if_refused(plugin.compute, *given, heldout)
        for name, estimate in (actual or {}).items():
            _finite(plugin, f"{name} of half the {what}", estimate)
            if plugin.better == "neither" or name not in near:
                continue
            limit = 0.5 * abs(far[name].value - near[name].value) + 6 * (near[name].stderr or 0.0)
            limit += 0.5 * abs(near[name].value)
            right = abs(estimate.value - near[name].value) <= limit
            expected = f"{near[name].value:.5g} within {limit:.2g}"
            require(right, plugin, f"{name} of half the {what}", expected, f"{estimate.value:.5g}")


def check_reads_labels_and_logits(plugin: Metric) -> None:
    """A metric that declares `needs_labels` or `needs_logits` depends on them."""
    sets = _sets(plugin)
    turns = {"labels": plugin.needs_labels, "logits": plugin.needs_logits}
    for what in (name for name, needed in turns.items() if needed):
        others = [_perturb(one, what) for one in vars(sets).values()]
        cases = (MetricSets(*others), replace(sets, reference=others[0]), replace(sets, near=others[2]))
        actual = [_none_if_refused(_compute_results, plugin, one, _full_state(plugin, one.near)) for one in cases]
        differ = any(one != _results_of(plugin, "near") for one in actual)
        require(differ, plugin, f"results with other {what}", "different results", "the same")


def check_reads_all_of_the_images(plugin: Metric) -> None:
    """A metric of images depends on every channel and every quarter of them."""
    skip_if(plugin.needs != "images", plugin, "it reads no images")
    sets = _sets(plugin)
    parts: list[tuple[str, Any]] = [(f"channel {one}", (slice(None), one)) for one in range(3)]
    for (i, rows), (j, columns) in product(enumerate((slice(None, 4), slice(4, None))), repeat=2):
        parts.append((f"quarter {i}, {j}", (..., rows, columns)))
    for what, place in parts:
        images = sets.near.images.clone()
        images[place] = 255 - images[place].roll(1, dims=0)
        actual = _compute_results(plugin, sets, _full_state(plugin, replace(sets.near, images=images)))
        what = f"results after a change of the {what} of the images"
        require(actual != _results_of(plugin, "near"), plugin, what, "different results", "the same")


def check_bytes_do_not_wrap(plugin: Metric) -> None:
    """Images in uint8 give the results of the same values in int32: no arithmetic overflows.

    Skipped if int32 is refused.
    """
    skip_if(plugin.needs != "images", plugin, "it reads no images")
    sets = _sets(plugin)
    wide = MetricSets(*(replace(one, images=one.images.to(torch.int32)) for one in vars(sets).values()))
    try:
        actual = _compute_results(plugin, wide, _full_state(plugin, wide.near))
    except Exception as error:
        raise Skip(f"{format_plugin(plugin)}: it accepts uint8 only ({type(error).__name__})") from error
    for name, (value, stderr) in _results_of(plugin, "near").items():
        limit = 1e-3 * abs(value) + 3 * (stderr or 0.0)
        near = abs(actual[name].value - value) <= limit
        require(near, plugin, f"{name} of uint8 images", f"{actual[name].value:.5g}, as of int32", f"{value:.5g}")


def check_every_option_distinguishes_sets(plugin: Metric) -> None:
    """Near, far and equal sets have different results for every option.

    A score of 0 for all of them, for example, is an error.
    """
    skip_if(plugin.needs == "model" or plugin.better == "neither", plugin, "it has no better side")
    for other in iter_alternatives(plugin):
        near, far, same = (_none_if_refused(_results_of, other, name) for name in ("near", "far", "reference"))
        if near is None or near != far or (plugin.better == "lower" and near != same):
            continue
        bad = [name for name, one in near.items() if (one.value == 0) == (plugin.better == "higher")]
        actual = [near[name].value for name in bad]
        require(not bad, other, f"{bad} of near, far and equal sets", "different values", actual)


def check_any_images_and_features(plugin: Metric) -> None:
    """Grey non-square images, and features of 1 or 300 dimensions, give finite results or a DataError."""
    skip_if(plugin.needs == "model", plugin, "it evaluates a model of one shape")
    generator = torch.Generator().manual_seed(0)
    for dimensions in (1, 300):
        shape = torch.randint(0, 256, (4, 40, 1, 6, 10), generator=generator).to(torch.uint8)
        features = torch.randn(4, 40, dimensions, generator=generator)
        labels, logits = torch.arange(40) % 3, torch.randn(4, 40, 3, generator=generator)
        sets = MetricSets(*(Batch(shape[i], features[i], labels, logits=logits[i]) for i in range(4)))
        _none_if_refused(_compute_results, plugin, sets, _full_state(plugin, sets.near))


def check_works_without_held_out_images(plugin: Metric) -> None:
    """Without held-out images, `{}`, the results are finite or a DataError is raised."""
    sets = _sets(plugin)
    reference = _full_state(plugin, sets.reference)
    for generated in (sets.near, sets.far):
        actual = _none_if_refused(plugin.compute, _full_state(plugin, generated), reference, {})
        for name, estimate in (actual or {}).items():
            _finite(plugin, f"{name} without held-out images", estimate)


def check_value_matches_the_paper(plugin: Metric) -> None:
    """A Fréchet or kernel distance, precision, recall, density or coverage has the value of its paper.

    Compared on correlated features with independent formulas, to 1 % (more with random subsets).
    """
    formulae = list(_find_cited_formulae(plugin.paper))
    skip_if(not formulae, plugin, "the kit knows no formula of this paper")
    sets = _sets(plugin)
    sampled = any(formula.share > 0.05 for formula in formulae)  # near sets are too similar for this tolerance
    neighbours = {value for value in dict(plugin).values() if type(value) is int} or {3, 5}
    for judged in (sets.far, _mix_features(sets.far), sets.near)[: 2 if sampled else 3]:
        results = _none_if_refused(_compute_results, plugin, sets, _full_state(plugin, judged)) or {}
        for formula in formulae:
            expected = formula.values(judged, sets.reference, neighbours)
            for name in [name for name in results if re.search(formula.names, name)]:
                value = results[name].value
                right = any(abs(value - one) <= formula.share * abs(one) + 1e-3 for one in expected)
                wanted = f"{expected[0]:.5g}, as {plugin.paper.partition(';')[0]} has it"
                require(right, plugin, name, wanted, f"{value:.5g}")


def _perturb(batch: Batch, what: str) -> Batch:
    """Return the batch with other labels, or with less confident logits."""
    if what == "logits":
        assert batch.logits is not None
        return replace(batch, logits=0.3 * batch.logits)
    assert batch.labels is not None
    order = torch.randperm(len(batch.images), generator=torch.Generator().manual_seed(5))
    return replace(batch, labels=batch.labels[order])


class _Formula(NamedTuple):
    """Accepted values for results whose names match, and the accepted relative error."""

    names: str
    values: Callable[[Batch, Batch, set[int]], list[float]]
    share: float


def _find_cited_formulae(paper: str) -> Iterator[_Formula]:
    for (author, year), formulae in _FORMULAE.items():
        if paper.startswith(author) and re.fullmatch(_PLACE.format(year=year), paper):
            yield from formulae


def _mix_features(batch: Batch) -> Batch:
    """Return the batch with features whose covariance has other axes."""
    turn = torch.randn(6, 6, generator=torch.Generator().manual_seed(4))
    return replace(batch, features=_features(batch) @ turn)


def _frechet(a: Batch, b: Batch, _: set[int]) -> list[float]:
    x, y = _features(a).double(), _features(b).double()
    first, second = x.T.cov(), y.T.cov()
    root = torch.linalg.eigvals(first @ second).sqrt().sum().real
    value = float((x.mean(0) - y.mean(0)).square().sum() + first.trace() + second.trace() - 2 * root)
    return [value]


def _kernel(a: Batch, b: Batch, _: set[int]) -> list[float]:
    x, y = _features(a).double(), _features(b).double()
    inside = [_cubic(one, one) for one in (x, y)]
    within = sum((one.sum() - one.trace()) / (len(one) * (len(one) - 1)) for one in inside)
    return [float(within - 2 * _cubic(x, y).mean())]


def _cubic(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _precision(a: Batch, b: Batch, neighbours: set[int]) -> list[float]:
    return [float(inside.any(dim=1).double().mean()) for inside, _ in _iter_balls(a, b, neighbours)]


def _recall(a: Batch, b: Batch, neighbours: set[int]) -> list[float]:
    return _precision(b, a, neighbours)


def _density(a: Batch, b: Batch, neighbours: set[int]) -> list[float]:
    return [float(inside.double().sum(dim=1).mean()) / k for inside, k in _iter_balls(a, b, neighbours)]


def _coverage(a: Batch, b: Batch, neighbours: set[int]) -> list[float]:
    return [float(inside.any(dim=0).double().mean()) for inside, _ in _iter_balls(a, b, neighbours)]


def _iter_balls(a: Batch, b: Batch, neighbours: set[int]) -> Iterator[tuple[Tensor, int]]:
    """Yield whether each image of a is in the ball around each of b that reaches its k-th neighbour; and k."""
    x, y = _features(a).double(), _features(b).double()
    for k in sorted(one for one in neighbours if 0 < one < len(y)):
        yield torch.cdist(x, y) <= torch.cdist(y, y).sort(dim=1).values[:, k], k


_FORMULAE: dict[tuple[str, int], tuple[_Formula, ...]] = {
    ("Heusel", 2017): (_Formula(".", _frechet, 0.01),),
    ("Bińkowski", 2018): (_Formula(".", _kernel, 0.1),),
    ("Kynkäänniemi", 2019): (_Formula("precision", _precision, 0.01), _Formula("recall", _recall, 0.01)),
    ("Naeem", 2020): (_Formula("density", _density, 0.01), _Formula("coverage", _coverage, 0.01)),
}
"""The formulas of papers, by first author and year."""
