"""Comparing sets of pictures: one pass over each set feeds all metrics, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from noisette.contracts import Batch, Estimate, Neighbours
from noisette.errors import DataError, PluginError
from noisette.evaluation.feature_cache import FeatureCache
from noisette.machine import Machine

if TYPE_CHECKING:
    from noisette.contracts import Features, Metric
    from noisette.contracts.features import Classifier
    from noisette.contracts.metric import State
    from noisette.evaluation.feature_cache import Source
    from noisette.evaluation.sets import PictureSet

    States = list[State]

__all__ = ["Comparison", "compare_sets", "compare_states", "finite", "lacking", "metrics_of_sets", "statistics"]

_PASS = 128
"""Pictures of a pass that metrics see at once; a constant, so that sums are the same bits every time."""


@dataclass(frozen=True)
class Comparison:
    """What metrics say of one set.

    Attributes:
        results: estimates by column.
        origin: which metric gave a column, by its index.
        left_out: why a metric gave none, by its name.
        neighbours: pictures worth showing beside reference pictures.
    """

    results: dict[str, Estimate] = field(default_factory=dict)
    origin: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    neighbours: list[Neighbours] = field(default_factory=list)


def compare_sets(
    generated: PictureSet,
    reference: PictureSet,
    heldout: PictureSet | None,
    features: Features,
    metrics: Sequence[Metric],
    *,
    folder: Path | None = None,
) -> Comparison:
    """Compare two sets of pictures by some metrics.

    Args:
        generated: the pictures that are judged.
        reference: the real pictures they are compared with.
        heldout: real pictures that the reference does not have, or None.
        features: the feature network; not loaded if no metric needs it.
        metrics: what to compute. One that cannot be computed is left out, with its reason.
        folder: where features and reference statistics are kept for the next time; None keeps none.

    Raises:
        DataError: if pictures or weights cannot be read, or no metric can be computed.
        PluginError: if features or a metric break their contract.
    """
    cache = FeatureCache(features, Machine.here("fp32").device, folder)
    labelled, classifies = reference.labels is not None, features.classifies
    left_out = lacking(metrics, labelled=labelled, classifies=classifies)
    metrics = metrics_of_sets(metrics, labelled=labelled, classifies=classifies)
    real = statistics(reference, metrics, cache, keep=True)
    held = statistics(heldout, metrics, cache) if heldout is not None else None
    comparison = compare_states(statistics(generated, metrics, cache), real, held, metrics, cache)
    comparison.left_out.update(left_out)
    if not comparison.results:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in comparison.left_out.items())
        raise DataError(f"{generated.name}: nothing could be computed: {reasons}")
    return comparison


def metrics_of_sets(metrics: Sequence[Metric], *, labelled: bool, classifies: bool = True) -> list[Metric]:
    """Return the metrics that compare sets, and can where the reference has labels or not, the features logits."""
    return [metric for metric in metrics if metric.needs != "model" and not _lacks(metric, labelled, classifies)]


def lacking(metrics: Sequence[Metric], *, labelled: bool, classifies: bool) -> dict[str, str]:
    """Return why metrics of sets cannot be computed at all, by their names."""
    reasons = {metric.name: _lacks(metric, labelled, classifies) for metric in metrics if metric.needs != "model"}
    return {name: reason for name, reason in reasons.items() if reason}


def _lacks(metric: Metric, labelled: bool, classifies: bool) -> str:
    if metric.needs_labels and not labelled:
        return "the pictures have no labels"
    if metric.needs_logits and not classifies:
        return "the features end in no classifier"
    return ""


def statistics(
    pictures: PictureSet,
    metrics: Sequence[Metric],
    cache: FeatureCache,
    *,
    keep: bool = False,
    tick: Callable[[int], None] = lambda done: None,
) -> States:
    """Return the state of every metric over a set.

    Args:
        pictures: the set; it is read once, in parts.
        metrics: whose statistics.
        cache: the features.
        keep: whether to use and keep statistics on disk: for references.
        tick: called with the pictures of this set done so far.
    """
    groups = _groups(metrics)
    kept = [cache.statistics(metric, pictures) if keep and _reads(metric) else None for metric in groups.values()]
    growing = [_Growing(metric) for metric, state in zip(groups.values(), kept, strict=True) if state is None]
    reads = any(_reads(one.metric) for one in growing)
    classify = cache.classify if any(one.metric.needs_logits for one in growing) else None
    with cache.of(pictures) if reads else nullcontext() as source:
        for done, batch in _batches(pictures, source, classify) if growing else ():
            for one in growing:
                one.add(batch)
            tick(done)
    if not growing:
        tick(len(pictures))
    for one in growing if keep else ():
        if _reads(one.metric):
            cache.keep(one.metric, pictures, one.state)
    fresh = iter(growing)
    states = [next(fresh).state if state is None else state for state in kept]
    return [states[list(groups).index(_group(metric, index))] for index, metric in enumerate(metrics)]


def _groups(metrics: Sequence[Metric]) -> dict[Hashable, Metric]:
    """Return the metrics without those that share the state of one before them."""
    groups: dict[Hashable, Metric] = {}
    for index, metric in enumerate(metrics):
        groups.setdefault(_group(metric, index), metric)
    return groups


def _group(metric: Metric, index: int) -> Hashable:
    return (type(metric).update, type(metric).merge) if metric.shares_state else index


def compare_states(
    generated: States,
    reference: States,
    heldout: States | None,
    metrics: Sequence[Metric],
    cache: FeatureCache,
    *,
    begin: Callable[[str], None] = lambda metric: None,
) -> Comparison:
    """Return what the metrics make of the states of two sets; `begin` is called with each metric's name.

    Raises:
        PluginError: if two results have one name.
    """
    comparison = Comparison()
    label = cache.label if any(map(_reads, metrics)) else ""
    states = zip(metrics, generated, reference, heldout or [{} for _ in metrics], strict=True)
    for index, (metric, judged, real, held) in enumerate(states):
        begin(metric.name)
        try:
            found = finite(metric.compute(judged, real, held))
        except DataError as error:
            comparison.left_out[metric.name] = str(error)
            continue
        comparison.neighbours.extend(metric.neighbours(judged, real))
        for result, estimate in found.items():
            column = metric.column(result, label)
            if column in comparison.results:
                raise PluginError(f"evaluation.metrics: two results are called {column!r}; leave one metric out")
            comparison.results[column] = estimate
            comparison.origin[column] = index
    return comparison


class _Growing:
    """A state that grows by merging parts of equal size: no part is copied more than log2(parts) times."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._parts: list[tuple[int, State]] = []

    def add(self, batch: Batch) -> None:
        if not _reads(self.metric):
            batch = replace(batch, features=None)
        size, state = 1, self.metric.update({}, batch)
        while self._parts and self._parts[-1][0] == size:
            state = self.metric.merge(self._parts.pop()[1], state)
            size *= 2
        self._parts.append((size, state))

    @cached_property
    def state(self) -> State:
        state: State = {}
        for _, part in reversed(self._parts):
            state = self.metric.merge(part, state)
        self._parts.clear()
        return state


def _reads(metric: Metric) -> bool:
    """Return whether a metric reads features."""
    return metric.needs == "features"


def _batches(
    pictures: PictureSet, source: Source | None, classify: Classifier | None
) -> Iterator[tuple[int, Batch]]:
    for start in range(0, len(pictures), _PASS):
        rows = slice(start, min(start + _PASS, len(pictures)))
        shown = torch.from_numpy(np.array(pictures.pictures[rows]))
        labels = None if pictures.labels is None else torch.from_numpy(np.array(pictures.labels[rows]))
        features = source(rows, shown) if source else None
        logits = classify(features) if classify is not None and features is not None else None
        yield rows.stop, Batch(shown, features, labels, logits=logits)


def finite(found: dict[str, Estimate]) -> dict[str, Estimate]:
    """Return a metric's results if they are numbers.

    Raises:
        DataError: naming the first that is not.
    """
    for result, (value, stderr) in found.items():
        if not isfinite(value) or not (stderr is None or (isfinite(stderr) and stderr >= 0)):
            raise DataError(f"it broke its contract: {result} came out as {value} with standard error {stderr}")
    return found
