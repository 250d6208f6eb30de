"""Evaluation of the model itself on real held-out images: likelihood, loss by timestep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from noisette.checkpoint import list_checkpoints
from noisette.contracts import Batch, Curve, Estimate, ModelMetric
from noisette.errors import DataError, PluginError
from noisette.evaluation.set_statistics import require_finite
from noisette.machine import Machine
from noisette.model.model import Model

if TYPE_CHECKING:
    from noisette.config import Experiment
    from noisette.contracts import Split
    from noisette.contracts.metric import State
    from noisette.data import Prepared
    from noisette.sampling import Samples

__all__ = ["ModelResults", "count_model_images", "evaluate_model", "evaluate_sampled_model"]

_BATCH_SIZE = 64


@dataclass
class ModelResults:
    """Results of the metrics of a model.

    Attributes:
        results: estimates by name.
        curves: results that are functions of something, by name.
        left_out: why metrics have no result, by their names.
        better: "lower" or "higher" for each result.
    """

    results: dict[str, Estimate] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    better: dict[str, str] = field(default_factory=dict)


def count_model_images(experiment: Experiment, data: Prepared) -> int:
    """Return how many images `evaluate_sampled_model` processes, for all metrics together."""
    return sum(min(metric.count, len(data.images(_split(data)))) for metric in _model_metrics(experiment))


def evaluate_sampled_model(
    experiment: Experiment, samples: Sequence[Samples], data: Prepared, on_progress: Callable[[int], None]
) -> ModelResults:
    """Compute the experiment's model metrics for the model that generated the samples.

    Args:
        experiment: metrics, seed and precision.
        samples: their checkpoint is evaluated.
        data: its test split is used, or the train split if nothing is held out.
        on_progress: called with the number of images processed so far.

    Raises:
        PluginError: if two results have one name.
    """
    metrics = _model_metrics(experiment)
    if not metrics:
        return ModelResults()
    try:
        model = _load_model(experiment, samples)
    except DataError as error:
        return ModelResults(left_out={metric.name: str(error) for metric in metrics})
    return evaluate_model(model, experiment, data, on_progress)


def evaluate_model(
    model: Model, experiment: Experiment, data: Prepared, on_progress: Callable[[int], None] = lambda done: None
) -> ModelResults:
    """Compute the experiment's model metrics; arguments and errors as of `evaluate_sampled_model`."""
    model_results, done = ModelResults(), 0
    for metric in _model_metrics(experiment):
        state: State = {}
        for batch in _batches(metric.count, model, data, experiment.seed):
            state = metric.merge(state, metric.update({}, batch))
            done += len(batch.images)
            on_progress(done)
        _add_results(model_results, metric, state)
    return model_results


def _model_metrics(experiment: Experiment) -> list[ModelMetric]:
    return [metric for metric in experiment.evaluation.metrics if isinstance(metric, ModelMetric)]


def _load_model(experiment: Experiment, samples: Sequence[Samples]) -> Model:
    digests = {generated.checkpoint for generated in samples}
    if len(digests) > 1:
        raise DataError(f"the samples are of {len(digests)} checkpoints, and it judges one")
    kept = [kept for kept in list_checkpoints(samples[0].directory.parent.parent) if kept.digest in digests]
    if not kept:
        raise DataError("the checkpoint that drew the samples is not kept any more")
    machine = Machine.detect(experiment.training.precision)
    return Model.load(kept[0].verified(), ema=experiment.sampling.ema, machine=machine)


def _split(data: Prepared) -> Split:
    return "test" if data.has_test_split else "train"


def _batches(max_count: int, model: Model, data: Prepared, seed: int) -> Iterator[Batch]:
    """Yield images of the test (or, if there is none, train) split with the model, spread evenly over it."""
    images, labels = data.images(_split(data)), data.labels(_split(data))
    count = min(max_count, len(images))
    chosen = np.linspace(0, max(len(images) - 1, 0), count).round().astype(np.int64)
    for start in range(0, count, _BATCH_SIZE):
        rows = chosen[start : start + _BATCH_SIZE]
        batch_images = torch.from_numpy(np.array(images[rows]))
        batch_labels = None if labels is None else torch.from_numpy(np.array(labels[rows]))
        yield Batch(batch_images, labels=batch_labels, model=model, indices=torch.from_numpy(rows), seed=seed)


def _add_results(model_results: ModelResults, metric: ModelMetric, state: State) -> None:
    try:
        found = require_finite(metric.compute(state, {}, {}))
    except DataError as error:
        model_results.left_out[metric.name] = str(error)
        return
    curves = metric.curves(state)
    duplicates = sorted(
        (found.keys() | curves.keys()) & (model_results.results.keys() | model_results.curves.keys())
    )
    if duplicates:
        raise PluginError(f"evaluation.metrics: two results are called {duplicates[0]!r}; leave one metric out")
    model_results.results |= found
    model_results.better |= dict.fromkeys(found, metric.better)
    model_results.curves |= curves
