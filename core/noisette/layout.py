"""Directories of results: the name of a stage's directory has a key of everything that it depends on.

    <root>/data/<dataset>-<key>/                     prepared images
    <root>/<experiment>-<key>/checkpoints/step-N/    training; metrics.jsonl is its journal
    <root>/<experiment>-<key>/samples/<sampler>-<key>/
    <root>/<experiment>-<key>/evaluations/<key>/
    <root>/<experiment>-<key>/sweeps/<key>/          charts of a comparison of samplers
    <root>/<experiment>-<key>/figures/<name>-<key>/  figures
    <root>/<config>/figures/<name>-<key>/            figures of a config without a dataset

The same experiment finds its finished stages; another one never overwrites them. A key includes the options and the
code of plugins (`noisette.plugins.code`), so an edited plugin gives new results. The name of an experiment is part
of a directory's name, not of the key: a training under another name is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from noisette.config import Experiment, Figure, FiguresConfig
from noisette.contracts import Plugin, Sampler
from noisette.formatting import slug
from noisette.plugins import registry
from noisette.plugins.registry import iter_plugins
from noisette.sources import fingerprint
from noisette.storage import digest

__all__ = [
    "COSMETIC",
    "MONITORING",
    "data_directory",
    "evaluation_directory",
    "figures_directory",
    "run_directory",
    "samples_directory",
    "sweep_directory",
    "training_directory",
]

COSMETIC = {
    "log_every",
    "checkpoint_every",
    "checkpoint_seconds",
    "preview_every",
    "keep_checkpoints",
    "images",
    "processes",
    "parallel",
}
"""Training options that do not affect the weights.

A run may resume with another number of processes; they only sum in another order. `images` determines `steps`,
which is not one of these.
"""

MONITORING = {"evaluate_every", "evaluate_images", "monitor"}
"""Training options of evaluations, which affect the weights only with `patience`, by ending the training."""


def data_directory(experiment: Experiment, root: Path) -> Path:
    """Return the directory of the experiment's prepared images."""
    dataset = experiment.dataset
    key = digest(_identities(dataset), dataset.fingerprint(), experiment.preparation.model_dump(mode="json"))
    return root / "data" / f"{dataset.name}-{key}"


def training_directory(experiment: Experiment, root: Path) -> Path:
    """Return the directory of the experiment's training, possibly under another name."""
    patient = experiment.training.patience is not None
    training = experiment.training.model_dump(mode="json", exclude=COSMETIC if patient else COSMETIC | MONITORING)
    data = data_directory(experiment, root).name
    evaluation = experiment.evaluation
    judges = [evaluation.model_dump(mode="json"), _identities(evaluation, experiment.sampling.samplers[0])]
    ending = judges if patient else []
    key = digest(
        data, _identities(*_network_plugins(experiment)), experiment.seed, experiment.timesteps, training, *ending
    )
    own = root / f"{experiment.name}-{key}"
    return next((run for run in (own, *_find_renamed_runs(root, key)) if _has_checkpoints(run)), own)


def samples_directory(run: Path, checkpoint: str, sampler: Sampler, experiment: Experiment) -> Path:
    """Return the directory of a sampler's images; `checkpoint` is the digest of the checkpoint's manifest."""
    sampling = experiment.sampling.model_dump(mode="json", include={"num_images", "clip_x0", "ema", "labels"})
    key = digest(checkpoint, _identities(sampler, *_network_plugins(experiment)), sampling, experiment.seed)
    return run / "samples" / f"{slug(sampler.label)}-{key}"


def evaluation_directory(run: Path, samples: list[str], experiment: Experiment) -> Path:
    """Return the directory of an evaluation; `samples` are the identities of the samples."""
    evaluation = experiment.evaluation
    plugins = _identities(evaluation)
    others = evaluation.model_dump(mode="json", exclude={"features", "metrics"})
    key = digest(samples, plugins, others, experiment.seed)
    return run / "evaluations" / key


def sweep_directory(run: Path, checkpoint: str, experiment: Experiment) -> Path:
    """Return the directory of the charts of a sweep; it is known before the images are sampled."""
    samplers = [
        samples_directory(run, checkpoint, sampler, experiment).name for sampler in experiment.sampling.samplers
    ]
    return run / "sweeps" / evaluation_directory(run, samplers, experiment).name


def run_directory(config: Experiment | FiguresConfig, root: Path) -> Path:
    """Return the directory of a config's results."""
    return training_directory(config, root) if isinstance(config, Experiment) else root / config.name


def figures_directory(run: Path, checkpoint: str, figure: Figure, config: Experiment | FiguresConfig) -> Path:
    """Return the directory of a figure; `checkpoint` is the digest of the checkpoint's manifest.

    The content of the figure's source files is part of the key.
    """
    options = figure.model_dump(mode="json", exclude={"title"})
    sources = [fingerprint(source) for source in figure.sources]
    facts: list[Any] = [options, _identities(figure), sources, config.seed]
    if isinstance(config, Experiment):
        data = data_directory(config, Path()).name
        process = [_identities(config.schedule), config.timesteps]
        model = [checkpoint, _identities(*_network_plugins(config)), config.sampling.clip_x0, config.sampling.ema]
        facts += [data, config.preparation.model_dump(mode="json"), *(model if figure.needs_model else process)]
    return run / "figures" / f"{slug(figure.label)}-{digest(*facts)}"


def _network_plugins(experiment: Experiment) -> tuple[Plugin, ...]:
    """Return the plugins of a trained network."""
    return experiment.schedule, experiment.objective, experiment.backbone


def _identities(*values: Any) -> list[Any]:
    """Return the identities of the plugins in some values."""
    return [registry().identity_of(plugin) for plugin in iter_plugins(values)]


def _find_renamed_runs(root: Path, key: str) -> Iterator[Path]:
    """Yield the trainings of this key under any name."""
    yield from sorted(root.glob(f"[!.]*-{key}"))


def _has_checkpoints(run: Path) -> bool:
    return any(run.glob("checkpoints/step-*"))
