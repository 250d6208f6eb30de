"""What decides the numbers of a report: without it they cannot be compared with anybody's."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from noisette.plugins import registry

if TYPE_CHECKING:
    from noisette.config import Experiment
    from noisette.data import Prepared
    from noisette.evaluation.cache import FeatureCache
    from noisette.evaluation.sets import PictureSet
    from noisette.sampling import Samples

__all__ = ["details", "protocol"]


def protocol(
    experiment: Experiment,
    data: Prepared,
    samples: Sequence[Samples],
    reference: PictureSet,
    heldout: PictureSet,
    cache: FeatureCache,
) -> dict[str, Any]:
    """Return the protocol as plain values by name, for a line under the table."""
    origin = registry().origin_of(cache.features)
    return {
        "features": cache.label,
        "weights_sha256": cache.weights,
        "resize": cache.features.resizing,
        "precision": "fp32",
        "device": cache.device.type,
        "dataset": experiment.dataset.name,
        "data": data.digest,
        "reference_split": "train",
        "reference_count": len(reference),
        "heldout_split": "test",
        "heldout_count": len(heldout),
        "generated_count": _same([len(drawn.pictures) for drawn in samples]),
        "seed": _same([drawn.about["seed"] for drawn in samples]),
        "checkpoint": _same([drawn.about["checkpoint"] for drawn in samples]),
        "step": _same([drawn.about["step"] for drawn in samples]),
        "ema": _same([drawn.about["ema"] for drawn in samples]),
        "clip": _same([drawn.about["clip"] for drawn in samples]),
        "features_package": f"{origin['distribution']} {origin['version']}",
        "torch": torch.__version__,
    }


def details(
    experiment: Experiment, samples: Sequence[Samples], sets: Sequence[PictureSet], cache: FeatureCache
) -> dict[str, Any]:
    """Return options, origins and hashes in full."""
    evaluation = experiment.evaluation
    parts = [cache.features, *evaluation.metrics]
    return {
        "features": cache.features.options(),
        "metrics": [metric.options() for metric in evaluation.metrics],
        "plugins": [registry().origin_of(part) for part in parts],
        "samplers": {drawn.label: dict(drawn.about) for drawn in samples},
        "sets": {some.name: {"count": len(some), "sha256": some.sha256} for some in sets},
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
        },
    }


def _same(values: list[Any]) -> Any:
    """Return the value that all share, or all of them in words."""
    distinct = list(dict.fromkeys(values))
    return distinct[0] if len(distinct) == 1 else ", ".join(map(str, values))
