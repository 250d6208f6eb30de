"""What decides the numbers of a report: without it they cannot be compared with anybody's."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from noisette.plugins import registry

if TYPE_CHECKING:
    from noisette.config import Experiment
    from noisette.contracts import Features, Metric
    from noisette.data import Prepared
    from noisette.evaluation.feature_cache import FeatureCache
    from noisette.evaluation.sets import ImageSet
    from noisette.evaluation.sources import ImageSource
    from noisette.sampling import Samples

__all__ = [
    "describe_features",
    "describe_plugins",
    "describe_sets",
    "describe_source",
    "details",
    "format_options",
    "protocol",
    "versions",
]


def protocol(
    experiment: Experiment,
    data: Prepared,
    samples: Sequence[Samples],
    reference: ImageSet,
    heldout: ImageSet,
    cache: FeatureCache,
) -> dict[str, Any]:
    """Return the protocol as plain values by name, for the lines under the table."""
    return {
        **describe_features(cache),
        "dataset": experiment.dataset.name,
        "data": data.digest,
        "reference_split": "train",
        "reference_count": len(reference),
        "heldout_split": "test",
        "heldout_count": len(heldout),
        "generated_count": _common_value([len(generated.images) for generated in samples]),
        "seed": _common_value([generated.about["seed"] for generated in samples]),
        "checkpoint": _common_value([generated.about["checkpoint"] for generated in samples]),
        "step": _common_value([generated.about["step"] for generated in samples]),
        "ema": _common_value([generated.about["ema"] for generated in samples]),
        "clip": _common_value([generated.about["clip"] for generated in samples]),
        "drawn_in": _common_value([generated.about.get("precision", "unknown") for generated in samples]),
        "samplers": "; ".join(format_options(generated.about["sampler"]) for generated in samples),
        **versions(),
    }


def describe_features(cache: FeatureCache) -> dict[str, Any]:
    """Return what decides the features: network, hash, resizing, precision, and what it says of itself."""
    origin = registry().origin_of(cache.features)
    return {
        "features": cache.label,
        "features_package": f"{origin['distribution']} {origin['version']}",
        "weights_sha256": cache.weights,
        "resize": cache.features.resizing,
        "precision": "fp32",
        "device": cache.device.type,
        **{f"features_{name}": fact for name, fact in cache.features.facts.items()},
    }


def describe_source(image_source: ImageSource) -> str:
    """Return what one side of a comparison is, in words: ``498 of 500 files, 32x32 RGB``."""
    about, (channels, height, width) = image_source.about, image_source.shape
    files = f"{about['count']} of {about['found']} files" if "found" in about else f"{about['count']} images"
    shown = f"{files}, {width}x{height} {'grey' if channels == 1 else 'RGB'}"
    sizes = about.get("sizes")
    if not sizes or (sizes["distinct"] == 1 and sizes["largest"] == [width, height]):
        return shown
    low, high = ("x".join(map(str, sizes[which])) for which in ("smallest", "largest"))
    fit = {"crop": "cut to squares and scaled", "resize": "scaled", "pad": "padded"}[about["preparation"]["fit"]]
    return f"{shown}, {fit} from {low if low == high else f'{low} to {high}'}"


def format_options(options: Mapping[str, Any]) -> str:
    """Return the options of a plugin in a line: ``ddim steps=10 eta=0.0``."""
    return " ".join([str(options["name"]), *(f"{key}={value}" for key, value in options.items() if key != "name")])


def versions() -> dict[str, str]:
    """Return the versions of all that computes."""
    return {
        "noisette": version("noisette"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def details(
    experiment: Experiment, samples: Sequence[Samples], sets: Sequence[ImageSet], cache: FeatureCache
) -> dict[str, Any]:
    """Return options, origins and hashes in full."""
    return {
        **describe_plugins(cache.features, experiment.evaluation.metrics),
        "samplers": {generated.label: dict(generated.about) for generated in samples},
        "sets": describe_sets(sets),
        "versions": versions(),
    }


def describe_plugins(features: Features, metrics: Sequence[Metric]) -> dict[str, Any]:
    """Return options and origins of features and metrics."""
    return {
        "features": features.options(),
        "metrics": [metric.options() for metric in metrics],
        "plugins": [registry().origin_of(part) for part in (features, *metrics)],
    }


def describe_sets(sets: Sequence[ImageSet]) -> dict[str, Any]:
    """Return count and hash of every set."""
    return {image_set.name: {"count": len(image_set), "sha256": image_set.sha256} for image_set in sets}


def _common_value(values: list[Any]) -> Any:
    """Return the value that all share, or all of them in words."""
    distinct = list(dict.fromkeys(values))
    return distinct[0] if len(distinct) == 1 else ", ".join(map(str, values))
