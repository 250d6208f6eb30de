"""Whether a metric whose `paper` starts with a known paper gives the value of that paper.

A metric that differs from the paper declares it, such as "after Heusel et al. 2017".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from noisette.contracts import Batch, Metric
from noisette.testing.check import Skip, require
from noisette.testing.checks.metric_states import _features
from noisette.testing.checks.metrics import _compute_results, _full_state, _none_if_refused, _sets
from noisette.testing.options import format_plugin

_PLACE = r"[^;]* {year}(, (code|(sections?|eqs?\.|algorithms?|tables?|appendix) [\w. ,]+( and \w+)?))?(;.*)?"


class _Formula(NamedTuple):
    """Accepted values for results whose names match, and the accepted relative error."""

    names: str
    values: Callable[[Batch, Batch, set[int]], list[float]]
    share: float


def check_value_matches_the_paper(plugin: Metric) -> None:
    """A Fréchet or kernel distance, precision, recall, density or coverage has the value of its paper.

    Compared on correlated features with independent formulas, to 1 % (more with random subsets).
    """
    formulae = list(_find_cited_formulae(plugin.paper))
    if not formulae:
        raise Skip(f"{format_plugin(plugin)}: the kit knows no formula of this paper")
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
