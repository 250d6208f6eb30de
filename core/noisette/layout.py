"""Where results lie: every stage has a directory whose name carries a key of all it depends on.

    <root>/data/<dataset>-<key>/                     prepared pictures
    <root>/<experiment>-<key>/checkpoints/step-N/    training; metrics.jsonl is its journal
    <root>/<experiment>-<key>/samples/<sampler>-<key>/
    <root>/<experiment>-<key>/evaluations/<key>/

The same experiment finds its finished stages again; another one never overwrites them.
"""

from __future__ import annotations

from pathlib import Path

from noisette.config import Experiment
from noisette.contracts import Sampler
from noisette.storage import digest

__all__ = ["COSMETIC", "data_directory", "evaluation_directory", "samples_directory", "training_directory"]

COSMETIC = {"log_every", "save_every", "grid_every", "keep"}
"""Training options that change what is written and when, but no weight."""


def data_directory(experiment: Experiment, root: Path) -> Path:
    """Return where the experiment's prepared pictures lie."""
    dataset = experiment.dataset
    key = digest(dataset.options(), dataset.fingerprint(), experiment.preparation.model_dump(mode="json"))
    return root / "data" / f"{dataset.name}-{key}"


def training_directory(experiment: Experiment, root: Path) -> Path:
    """Return where the experiment is trained."""
    options = experiment.options()
    deciding = {key: options[key] for key in ("seed", "schedule", "timesteps", "objective", "backbone")}
    training = experiment.training.model_dump(mode="json", exclude=COSMETIC)
    key = digest(data_directory(experiment, root).name, deciding, training)
    return root / f"{experiment.name}-{key}"


def samples_directory(run: Path, checkpoint: str, sampler: Sampler, experiment: Experiment) -> Path:
    """Return where a sampler's pictures lie; `checkpoint` is the digest of the checkpoint's manifest."""
    sampling = experiment.sampling.model_dump(mode="json", include={"count", "clip", "ema"})
    key = digest(checkpoint, sampler.options(), sampling, experiment.seed)
    return run / "samples" / f"{sampler.label}-{key}"


def evaluation_directory(run: Path, samples: list[str], experiment: Experiment) -> Path:
    """Return where a comparison lies; `samples` are the digests of the samples' manifests."""
    key = digest(samples, experiment.evaluation.model_dump(mode="json"), experiment.seed)
    return run / "evaluations" / key
