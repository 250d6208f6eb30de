"""Metrics: distances between generated and real images, and the likelihood of real images under a model."""

from __future__ import annotations

from collections.abc import Iterator

from noisette import Metric, hookimpl
from noisette_plugins.metrics.density_coverage import DensityCoverage
from noisette_plugins.metrics.frechet import Frechet
from noisette_plugins.metrics.frechet_infinity import FrechetInfinity
from noisette_plugins.metrics.inception_score import InceptionScore
from noisette_plugins.metrics.kid import KID
from noisette_plugins.metrics.likelihood import Likelihood
from noisette_plugins.metrics.loss import HeldOutLoss
from noisette_plugins.metrics.nearest import Nearest
from noisette_plugins.metrics.precision_recall import PrecisionRecall
from noisette_plugins.metrics.recognised import Recognised

__all__ = [
    "KID",
    "DensityCoverage",
    "Frechet",
    "FrechetInfinity",
    "HeldOutLoss",
    "InceptionScore",
    "Likelihood",
    "Nearest",
    "PrecisionRecall",
    "Recognised",
]


@hookimpl
def plugins() -> Iterator[type[Metric]]:
    """Yield the metrics of this folder."""
    yield from (Frechet, KID, FrechetInfinity, InceptionScore, PrecisionRecall, DensityCoverage)
    yield from (Recognised, Nearest, Likelihood, HeldOutLoss)
