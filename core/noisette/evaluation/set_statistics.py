"""Comparing sets of images: one pass over each set feeds all metrics, in bounded memory."""

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
    from noisette.evaluation.feature_cache import FeatureReader
    from noisette.evaluation.sets import ImageSet

    States = list[State]

__all__ = [
    "Comparison",
    "compare_sets",
    "compare_states",
    "compute_states",
    "missing_requirements",
    "require_finite",
    "set_metrics",
]

_BATCH_SIZE = 128
"""Images per batch; constant, so that sums have the same bits every time."""


@dataclass(frozen=True)
class Comparison:
    """Results of the metrics for one set.

    Attributes:
        results: estimates by column.
        origin: index of the metric of each column.
        left_out: why metrics have no result, by their names.
        neighbours: images to show next to reference images.
    """

    results: dict[str, Estimate] = field(default_factory=dict)
    origin: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    neighbours: list[Neighbours] = field(default_factory=list)


def compare_sets(
    generated: ImageSet,
    reference: ImageSet,
    heldout: ImageSet | None,
    features: Features,
    metrics: Sequence[Metric],
    *,
    folder: Path | None = None,
) -> Comparison:
    """Compare two sets of images by some metrics.

    Args:
        generated: the images to evaluate.
        reference: the real images they are compared with.
        heldout: real images that the reference does not contain, or None.
        features: the feature network; not loaded if no metric needs it.
        metrics: what to compute. One that cannot be computed is left out, with its reason.
        folder: cache of features and reference statistics; None for no cache.

    Raises:
        DataError: if images or weights cannot be read, or no metric can be computed.
        PluginError: if features or a metric break their contract.
    """
    cache = FeatureCache(features, Machine.detect("fp32").device, folder)
    labelled, has_classifier = reference.labels is not None, features.has_classifier
    left_out = missing_requirements(metrics, labelled=labelled, has_classifier=has_classifier)
    metrics = set_metrics(metrics, labelled=labelled, has_classifier=has_classifier)
    real = compute_states(reference, metrics, cache, keep=True)
    held = compute_states(heldout, metrics, cache) if heldout is not None else None
    comparison = compare_states(compute_states(generated, metrics, cache), real, held, metrics, cache)
    comparison.left_out.update(left_out)
    if not comparison.results:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in comparison.left_out.items())
        raise DataError(f"{generated.name}: nothing could be computed: {reasons}")
    return comparison


def set_metrics(metrics: Sequence[Metric], *, labelled: bool, has_classifier: bool = True) -> list[Metric]:
    """Return the metrics that compare sets of images and whose requirements hold."""
    missing = missing_requirements(metrics, labelled=labelled, has_classifier=has_classifier)
    return [metric for metric in metrics if metric.needs != "model" and metric.name not in missing]


def missing_requirements(metrics: Sequence[Metric], *, labelled: bool, has_classifier: bool) -> dict[str, str]:
    """Return why metrics of sets cannot be computed, by their names.

    Args:
        metrics: the metrics.
        labelled: whether the reference has labels.
        has_classifier: whether the feature network has one.
    """
    reasons = {}
    for metric in metrics:
        if metric.needs != "model" and metric.needs_labels and not labelled:
            reasons[metric.name] = "the images have no labels"
        elif metric.needs != "model" and metric.needs_logits and not has_classifier:
            reasons[metric.name] = "the features end in no classifier"
    return reasons


def compute_states(
    images: ImageSet,
    metrics: Sequence[Metric],
    cache: FeatureCache,
    *,
    keep: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> States:
    """Return the state of every metric over a set.

    Args:
        images: the set; it is read once, in parts.
        metrics: whose statistics.
        cache: the features.
        keep: whether to use and keep statistics on disk: for references.
        on_progress: called with the number of images of this set processed so far.
    """
    groups = _group_metrics(metrics)
    cached = [
        cache.load_state(metric, images) if keep and _needs_features(metric) else None for metric in groups.values()
    ]
    accumulators = [
        _StateAccumulator(metric) for metric, state in zip(groups.values(), cached, strict=True) if state is None
    ]
    reads = any(_needs_features(accumulator.metric) for accumulator in accumulators)
    classify = cache.classify if any(accumulator.metric.needs_logits for accumulator in accumulators) else None
    with cache.reader(images) if reads else nullcontext() as source:
        for done, batch in _batches(images, source, classify) if accumulators else ():
            for accumulator in accumulators:
                accumulator.add(batch)
            on_progress(done)
    if not accumulators:
        on_progress(len(images))
    for accumulator in accumulators if keep else ():
        if _needs_features(accumulator.metric):
            cache.store_state(accumulator.metric, images, accumulator.state)
    fresh = iter(accumulators)
    states = [next(fresh).state if state is None else state for state in cached]
    return [states[list(groups).index(_group_key(metric, index))] for index, metric in enumerate(metrics)]


def _group_metrics(metrics: Sequence[Metric]) -> dict[Hashable, Metric]:
    """Return the metrics without those that share the state of one before them."""
    groups: dict[Hashable, Metric] = {}
    for index, metric in enumerate(metrics):
        groups.setdefault(_group_key(metric, index), metric)
    return groups


def _group_key(metric: Metric, index: int) -> Hashable:
    return (type(metric).update, type(metric).merge) if metric.shares_state else index


def compare_states(
    generated: States,
    reference: States,
    heldout: States | None,
    metrics: Sequence[Metric],
    cache: FeatureCache,
    *,
    on_activity: Callable[[str], None] = lambda metric: None,
) -> Comparison:
    """Compute the metrics from the states of two sets; `on_activity` is called with each metric's name.

    Raises:
        PluginError: if two results have one name.
    """
    comparison = Comparison()
    label = cache.label if any(map(_needs_features, metrics)) else ""
    states = zip(metrics, generated, reference, heldout or [{} for _ in metrics], strict=True)
    for index, (metric, judged, real, held) in enumerate(states):
        on_activity(metric.name)
        try:
            found = require_finite(metric.compute(judged, real, held))
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


class _StateAccumulator:
    """A state that grows by merging parts of equal size: no part is copied more than log2(parts) times."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._parts: list[tuple[int, State]] = []

    def add(self, batch: Batch) -> None:
        if not _needs_features(self.metric):
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


def _needs_features(metric: Metric) -> bool:
    """Return whether a metric reads features."""
    return metric.needs == "features"


def _batches(
    images: ImageSet, source: FeatureReader | None, classify: Classifier | None
) -> Iterator[tuple[int, Batch]]:
    for start in range(0, len(images), _BATCH_SIZE):
        rows = slice(start, min(start + _BATCH_SIZE, len(images)))
        batch_images = torch.from_numpy(np.array(images.images[rows]))
        labels = None if images.labels is None else torch.from_numpy(np.array(images.labels[rows]))
        features = source(rows, batch_images) if source else None
        logits = classify(features) if classify is not None and features is not None else None
        yield rows.stop, Batch(batch_images, features, labels, logits=logits)


def require_finite(found: dict[str, Estimate]) -> dict[str, Estimate]:
    """Return a metric's results if they are numbers.

    Raises:
        DataError: naming the first that is not.
    """
    for result, (value, stderr) in found.items():
        if not isfinite(value) or not (stderr is None or (isfinite(stderr) and stderr >= 0)):
            raise DataError(f"it broke its contract: {result} came out as {value} with standard error {stderr}")
    return found
