"""Where results lie: every stage has a directory whose name carries a key of all it depends on.

    <root>/data/<dataset>-<key>/                     prepared pictures
    <root>/<experiment>-<key>/checkpoints/step-N/    training; metrics.jsonl is its journal
    <root>/<experiment>-<key>/samples/<sampler>-<key>/
    <root>/<experiment>-<key>/evaluations/<key>/
    <root>/<experiment>-<key>/sweeps/<key>/          charts of a comparison of many samplers
    <root>/<experiment>-<key>/pictures/<name>-<key>/ pictures of the process
    <root>/<show>/pictures/<name>-<key>/             those of a config without data

The same experiment finds its finished stages again; another one never overwrites them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from noisette.config import Experiment, Scene, Show
from noisette.contracts import Plugin, Sampler
from noisette.plugins import registry
from noisette.sources import fingerprint
from noisette.storage import digest

__all__ = [
    "COSMETIC",
    "WATCHING",
    "data_directory",
    "evaluation_directory",
    "pictures_directory",
    "run_directory",
    "samples_directory",
    "sweep_directory",
    "training_directory",
]

COSMETIC = {"log_every", "save_every", "save_seconds", "grid_every", "keep", "pictures", "processes", "parallel"}
"""Training options that change what is written and when, but no weight.

Several processes add the same numbers in another order: a run may go on in more or fewer of them. `pictures`
decides `steps`, which is not among these.
"""

WATCHING = {"evaluate_every", "evaluate_count", "best_by"}
"""Training options of evaluations on the way, which decide no weight unless they decide the end (patience)."""


def data_directory(experiment: Experiment, root: Path) -> Path:
    """Return where the experiment's prepared pictures lie."""
    dataset = experiment.dataset
    key = digest(_identity(dataset), dataset.fingerprint(), experiment.preparation.model_dump(mode="json"))
    return root / "data" / f"{dataset.name}-{key}"


def training_directory(experiment: Experiment, root: Path) -> Path:
    """Return where the experiment is trained."""
    plugins = [_identity(part) for part in (experiment.schedule, experiment.objective, experiment.backbone)]
    patient = experiment.training.patience is not None
    training = experiment.training.model_dump(mode="json", exclude=COSMETIC if patient else COSMETIC | WATCHING)
    data = data_directory(experiment, root).name
    ending = [experiment.evaluation.model_dump(mode="json"), _identity(experiment.sampling.samplers[0])]
    key = digest(data, plugins, experiment.seed, experiment.timesteps, training, *(ending if patient else ()))
    return root / f"{experiment.name}-{key}"


def samples_directory(run: Path, checkpoint: str, sampler: Sampler, experiment: Experiment) -> Path:
    """Return where a sampler's pictures lie; `checkpoint` is the digest of the checkpoint's manifest."""
    sampling = experiment.sampling.model_dump(mode="json", include={"count", "clip", "ema", "labels"})
    key = digest(checkpoint, _identity(sampler), sampling, experiment.seed)
    return run / "samples" / f"{_plain(sampler.label)}-{key}"


def evaluation_directory(run: Path, samples: list[str], experiment: Experiment) -> Path:
    """Return where a comparison lies; `samples` are the identities of the samples."""
    evaluation = experiment.evaluation
    plugins = [_identity(part) for part in (evaluation.features, *evaluation.metrics)]
    others = evaluation.model_dump(mode="json", exclude={"features", "metrics"})
    key = digest(samples, plugins, others, experiment.seed)
    return run / "evaluations" / key


def sweep_directory(run: Path, checkpoint: str, experiment: Experiment) -> Path:
    """Return where the charts of a sweep lie, known before its pictures are drawn: it asks for the samplers."""
    samplers = [
        samples_directory(run, checkpoint, sampler, experiment).name for sampler in experiment.sampling.samplers
    ]
    return run / "sweeps" / evaluation_directory(run, samplers, experiment).name


def run_directory(config: Experiment | Show, root: Path) -> Path:
    """Return where a config's results lie: where an experiment is trained, or a folder of its own."""
    return training_directory(config, root) if isinstance(config, Experiment) else root / config.name


def pictures_directory(run: Path, checkpoint: str, scene: Scene, config: Experiment | Show) -> Path:
    """Return where pictures of the process lie; `checkpoint` is the digest of the checkpoint's manifest.

    What the files that they begin at contain is part of the key.
    """
    told = scene.model_dump(mode="json", exclude={"title"})
    begun = [fingerprint(source) for source in scene.sources]
    facts: list[Any] = [told, begun, config.seed]
    if isinstance(config, Experiment):
        data = data_directory(config, Path()).name
        process = [_identity(config.schedule), config.timesteps]
        drawn = [checkpoint, config.sampling.clip, config.sampling.ema] if scene.needs_model else process
        facts += [data, config.preparation.model_dump(mode="json"), *drawn]
    return run / "pictures" / f"{_plain(scene.label)}-{digest(*facts)}"


def _identity(plugin: Plugin) -> list[Any]:
    """Return what tells a plugin from all others: two packages may give the same name."""
    return [registry().origin_of(plugin)["distribution"], plugin.options()]


def _plain(label: str) -> str:
    """Return a label as part of a file's name: options may hold any text, and a list of steps is long."""
    return re.sub(r"[^A-Za-z0-9._=,+-]", "_", label)[:80]
