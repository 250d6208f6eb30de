"""What an evaluation needs, checked before hours of training: weights, and different names of results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from noisette.contracts import Batch, Features
from noisette.errors import NoisetteError, PluginError
from noisette.plugins import registry

if TYPE_CHECKING:
    from noisette.config.sections import Evaluation
    from noisette.contracts import Metric

__all__ = ["require_ready"]

_IMAGES, _DIMENSIONS = 256, 4


def require_ready(evaluation: Evaluation) -> None:
    """Refuse an evaluation that would fail after all work is done; fetch weights that it needs.

    Raises:
        DataError: if weights are not there and cannot be had.
        PluginError: if two results have one name.
    """
    if any(metric.needs == "features" for metric in evaluation.metrics):
        evaluation.features.fetch_weights()
    _check_unique_columns(evaluation.metrics, evaluation.features)


def _check_unique_columns(metrics: Sequence[Metric], features: Features) -> None:
    """Refuse metrics whose results have one name.

    Metrics of noisette itself differ in their names, which a test asserts: they are tried on noise only beside a
    metric of the same class or of another package.
    """
    metrics_of_images = [(index, metric) for index, metric in enumerate(metrics) if metric.needs != "model"]
    kinds = [type(metric) for _, metric in metrics_of_images]
    foreign = any(registry().origin_of(metric)["distribution"] != "noisette" for _, metric in metrics_of_images)
    found: dict[str, int] = {}
    for index, metric in metrics_of_images:
        if len(kinds) == 1 or not (foreign or kinds.count(type(metric)) > 1):
            continue
        for column in _result_columns(metric, features):
            if column in found:
                first = found[column]
                raise PluginError(
                    f"evaluation.metrics: metrics {first} and {index} both give a result {column!r}; leave one out"
                )
            found[column] = index


def _result_columns(metric: Metric, features: Features) -> Iterator[str]:
    """Yield the names of a metric's results, from computing them on noise; nothing if that fails."""
    import torch

    draw = torch.Generator().manual_seed(0)
    batch = Batch(
        torch.randint(0, 256, (_IMAGES, 3, 4, 4), generator=draw, dtype=torch.uint8),
        torch.randn(_IMAGES, _DIMENSIONS, generator=draw) if metric.needs == "features" else None,
        torch.arange(_IMAGES) % 2,
        logits=torch.randn(_IMAGES, 2, generator=draw) if metric.needs_logits else None,
    )
    try:
        state = metric.update({}, batch)
        yield from (metric.column(result, features.name) for result in metric.compute(state, state, state))
    except (NoisetteError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError):
        return
