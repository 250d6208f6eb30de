"""How the numbers of a report were measured: without it they cannot be compared with anybody's."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from noisette.diffusion.schedule_checks import find_schedule_problems, find_start_problems
from noisette.plugins import registry
from noisette.sampling.samples import check_comparable_timings

if TYPE_CHECKING:
    from noisette.config import Experiment
    from noisette.contracts import Metric
    from noisette.data import Prepared
    from noisette.evaluation.feature_cache import FeatureCache
    from noisette.evaluation.report_builder import ReportBuilder
    from noisette.evaluation.sources import ComparisonRequest, ImageSource
    from noisette.sampling import Samples

__all__ = [
    "image_details",
    "image_notes",
    "image_protocol",
    "sampler_details",
    "sampler_notes",
    "sampler_protocol",
]


def sampler_protocol(
    experiment: Experiment, data: Prepared, samples: Sequence[Samples], builder: ReportBuilder
) -> dict[str, Any]:
    """Return how samplers are compared with the train split, as plain values for the lines under the table."""
    about = [generated.about for generated in samples]
    return {
        **_describe_features(builder.cache),
        "dataset": experiment.dataset.name,
        "data": data.digest,
        "reference_split": "train",
        "reference_count": len(builder.reference),
        "heldout_split": "test" if data.has_test_split else "the reference itself",
        "heldout_count": len(builder.heldout or (builder.floor.images if builder.floor else ())),
        "generated_count": _common_value([len(generated.images) for generated in samples]),
        **{
            name: _common_value([one[name] for one in about])
            for name in ("seed", "checkpoint", "step", "ema", "clip")
        },
        "drawn_in": _common_value([one.get("precision", "unknown") for one in about]),
        "samplers": "; ".join(_format_options(generated.sampler) for generated in samples),
        **_versions(),
    }


def sampler_details(experiment: Experiment, samples: Sequence[Samples], builder: ReportBuilder) -> dict[str, Any]:
    """Return options, origins and hashes in full."""
    return {
        **_describe_plugins(builder, experiment.evaluation.metrics),
        "samplers": {generated.label: dict(generated.about) for generated in samples},
        "sets": _describe_sets(builder),
        "versions": _versions(),
    }


def sampler_notes(experiment: Experiment, samples: Sequence[Samples], builder: ReportBuilder) -> list[str]:
    """Return what limits a comparison of samplers: the ends of the process, numbers of images, timings."""
    process = experiment.schedule.process(experiment.timesteps)
    notes = find_schedule_problems(process)
    for generated in samples:
        spacing: Any = generated.sampler["spacing"]  # a list in JSON
        spacing = tuple(spacing) if isinstance(spacing, list) else spacing
        timesteps = process.timesteps(generated.sampler["steps"], spacing)
        notes += [f"{generated.label} {problem}" for problem in find_start_problems(process, timesteps)]
    counts = {generated.label: len(generated.images) for generated in samples}
    heldout, largest = len(builder.heldout or ()), max(counts.values())
    if builder.heldout is None:
        notes.append(_note_no_heldout(builder))
    elif heldout < largest:
        notes.append(
            f"only {heldout} held-out images for {largest} generated: a distance that falls with their number, "
            "as the Fréchet distance does, is too high in their row"
        )
    if len(set(counts.values())) > 1:
        each = ", ".join(f"{label} {count}" for label, count in counts.items())
        notes.append(f"the samplers generated different numbers of images ({each}): compare with care")
    if incomparable := check_comparable_timings({generated.label: generated.about for generated in samples}):
        notes.append(incomparable)
    return notes


def _note_no_heldout(builder: ReportBuilder) -> str:
    note = (
        "no images are held out: everything is measured on the training images, so a network that repeats them "
        "looks better than it is"
    )
    floor = builder.floor
    if floor is None or floor.reference is None:
        return note
    return f"{note}; the row of real images is {len(floor.images)} of them against the other {len(floor.reference)}"


def image_protocol(request: ComparisonRequest, builder: ReportBuilder) -> dict[str, Any]:
    """Return how two sets of images are compared, as plain values for the lines under the table."""
    floor, samples = builder.floor, request.generated.about.get("samples")
    names = ("seed", "checkpoint", "step", "ema", "clip")
    return {
        **_describe_features(builder.cache),
        "generated": _describe_source(request.generated),
        "reference": _describe_source(request.reference),
        "dataset": request.reference.name,
        "reference_split": request.reference.about.get("split", "all"),
        "reference_count": len(builder.reference),
        "heldout_split": "test" if builder.heldout is not None else "the reference itself",
        "heldout_count": len(floor.images) if floor else 0,
        "floor_against": len(floor.reference or builder.reference) if floor else 0,
        "generated_count": len(builder.rows[-1].images),
        "floor_seed": request.seed,
        **(
            {"samplers": _format_options(samples["sampler"]), **{name: samples[name] for name in names}}
            if samples
            else {}
        ),
        **_versions(),
    }


def image_details(request: ComparisonRequest, builder: ReportBuilder) -> dict[str, Any]:
    """Return options, origins and hashes in full."""
    sources = {"generated": request.generated, "reference": request.reference, "heldout": request.heldout}
    samples = request.generated.about.get("samples")
    return {
        **_describe_plugins(builder, request.metrics),
        "sides": {role: {"name": source.name, **source.about} for role, source in sources.items() if source},
        "samplers": {request.generated.name: samples} if samples else {},
        "sets": _describe_sets(builder),
    }


def image_notes(request: ComparisonRequest, builder: ReportBuilder) -> list[str]:
    """Return what limits a comparison of two sets of images: different sizes, a floor of the reference itself."""
    notes = []
    (_, height, width), (_, *real) = request.generated.shape, request.reference.shape
    if [height, width] != real:
        notes.append(
            f"the judged images have {width}x{height} pixels and the real ones {real[1]}x{real[0]}: "
            "what scaling does to them is part of every number"
        )
    floor = builder.floor
    if floor is not None and floor.reference is not None:
        notes.append(
            f"the floor is {len(floor.images)} images of the reference against its other {len(floor.reference)}: "
            "a distance that falls with their number, as the Fréchet distance does, is a little too high in its row"
        )
    return notes


def _describe_features(cache: FeatureCache) -> dict[str, Any]:
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


def _describe_source(image_source: ImageSource) -> str:
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


def _format_options(options: Mapping[str, Any]) -> str:
    """Return the options of a plugin in a line: ``ddim steps=10 eta=0.0``."""
    return " ".join([str(options["name"]), *(f"{key}={value}" for key, value in options.items() if key != "name")])


def _versions() -> dict[str, str]:
    return {
        "noisette": version("noisette"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _describe_plugins(builder: ReportBuilder, metrics: Sequence[Metric]) -> dict[str, Any]:
    features = builder.cache.features
    return {
        "features": features.options(),
        "metrics": [metric.options() for metric in metrics],
        "plugins": [registry().origin_of(part) for part in (features, *metrics)],
    }


def _describe_sets(builder: ReportBuilder) -> dict[str, Any]:
    return {images.name: {"count": len(images), "sha256": images.sha256} for images in builder.sets}


def _common_value(values: list[Any]) -> Any:
    """Return the value that all share, or all of them in words."""
    distinct = list(dict.fromkeys(values))
    return distinct[0] if len(distinct) == 1 else ", ".join(map(str, values))
