"""Judging the model itself by real held-out pictures: likelihoods, losses by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from noisette.checkpoint import checkpoints
from noisette.contracts import Batch, Curve, Estimate, ModelMetric
from noisette.errors import DataError, PluginError
from noisette.evaluation.set_statistics import finite
from noisette.machine import Machine
from noisette.model.model import Model

if TYPE_CHECKING:
    from noisette.config import Experiment
    from noisette.contracts.metric import State
    from noisette.data import Prepared
    from noisette.sampling import Samples

__all__ = ["Judgement", "judge", "judge_model", "judged_pictures"]

_PASS = 64


@dataclass
class Judgement:
    """What metrics say of a model.

    Attributes:
        results: estimates by name.
        curves: results that are functions of something, by name.
        left_out: why a metric gave none, by its name.
        better: "lower" or "higher" for each result.
    """

    results: dict[str, Estimate] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    better: dict[str, str] = field(default_factory=dict)


def judged_pictures(experiment: Experiment, data: Prepared) -> int:
    """Return how many pictures `judge` will look at, all metrics together."""
    return sum(min(metric.count, len(data.pictures("test"))) for metric in _metrics(experiment))


def judge(
    experiment: Experiment, samples: Sequence[Samples], data: Prepared, tick: Callable[[int], None]
) -> Judgement:
    """Return what the experiment's model metrics say of the model that drew the samples.

    Args:
        experiment: metrics, seed and precision.
        samples: their checkpoint is judged.
        data: the test split is shown to the model.
        tick: called with the number of pictures looked at so far.

    Raises:
        PluginError: if two results have one name.
    """
    metrics = _metrics(experiment)
    if not metrics:
        return Judgement()
    try:
        model = _model(experiment, samples)
    except DataError as error:
        return Judgement(left_out={metric.name: str(error) for metric in metrics})
    return judge_model(model, experiment, data, tick)


def judge_model(
    model: Model, experiment: Experiment, data: Prepared, tick: Callable[[int], None] = lambda done: None
) -> Judgement:
    """Return what the experiment's model metrics say of a model; arguments and errors as of `judge`."""
    judgement, done = Judgement(), 0
    for metric in _metrics(experiment):
        state: State = {}
        for batch in _batches(metric.count, model, data, experiment.seed):
            state = metric.merge(state, metric.update({}, batch))
            done += len(batch.pictures)
            tick(done)
        _add(judgement, metric, state)
    return judgement


def _metrics(experiment: Experiment) -> list[ModelMetric]:
    return [metric for metric in experiment.evaluation.metrics if isinstance(metric, ModelMetric)]


def _model(experiment: Experiment, samples: Sequence[Samples]) -> Model:
    digests = {str(drawn.about["checkpoint"]) for drawn in samples}
    if len(digests) > 1:
        raise DataError(f"the samples are of {len(digests)} checkpoints, and it judges one")
    kept = [kept for kept in checkpoints(samples[0].directory.parent.parent) if kept.digest in digests]
    if not kept:
        raise DataError("the checkpoint that drew the samples is not kept any more")
    machine = Machine.here(experiment.training.precision)
    return Model.load(kept[0].verified(), ema=experiment.sampling.ema, machine=machine)


def _batches(most: int, model: Model, data: Prepared, seed: int) -> Iterator[Batch]:
    """Yield pictures of the test split with the model, spread evenly over it if it has more."""
    pictures, labels = data.pictures("test"), data.labels("test")
    count = min(most, len(pictures))
    chosen = np.linspace(0, max(len(pictures) - 1, 0), count).round().astype(np.int64)
    for start in range(0, count, _PASS):
        rows = chosen[start : start + _PASS]
        shown = torch.from_numpy(np.array(pictures[rows]))
        told = None if labels is None else torch.from_numpy(np.array(labels[rows]))
        yield Batch(shown, labels=told, model=model, numbers=torch.from_numpy(rows), seed=seed)


def _add(judgement: Judgement, metric: ModelMetric, state: State) -> None:
    try:
        found = finite(metric.compute(state, {}, {}))
    except DataError as error:
        judgement.left_out[metric.name] = str(error)
        return
    curves = metric.curves(state)
    twice = sorted((found.keys() | curves.keys()) & (judgement.results.keys() | judgement.curves.keys()))
    if twice:
        raise PluginError(f"evaluation.metrics: two results are called {twice[0]!r}; leave one metric out")
    judgement.results |= found
    judgement.better |= dict.fromkeys(found, metric.better)
    judgement.curves |= curves
