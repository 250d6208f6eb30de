"""Sampling engine: the pictures of one sampler, streamed to disk."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from noisette.checkpoint import Checkpoint
from noisette.contracts import Sampler
from noisette.errors import PluginError
from noisette.events import Events
from noisette.hooks import Run
from noisette.journal import Journal
from noisette.layout import samples_directory
from noisette.machine import Machine, threads
from noisette.pictures import columns_of, grid, save_png
from noisette.plugins import registry
from noisette.sampling.draw import draw, to_bytes
from noisette.sampling.samples import Samples
from noisette.sampling.stack import labels_of, network_calls, stacked
from noisette.storage import committed, new_array
from noisette.training.model import Model

if TYPE_CHECKING:
    from noisette.config import Experiment

__all__ = ["sample"]

_BATCH = {"cpu": 64, "cuda": 256}


def sample(
    experiment: Experiment,
    checkpoint: Checkpoint,
    sampler: Sampler,
    root: Path | str = "runs",
    *,
    events: Events | None = None,
) -> Samples:
    """Draw `sampling.count` pictures from a checkpoint; finished ones are returned at once.

    Args:
        experiment: its `sampling` and `seed` decide the pictures.
        checkpoint: the trained network.
        sampler: how to draw them.
        root: folder of all results; the samples lie beside the checkpoint, wherever that is.
        events: who is told of the progress, in pictures.

    Raises:
        CheckpointError: if the checkpoint needs a plugin that is missing.
        PluginError: if the sampler wants more steps than were trained, or yields no pictures.
        NotFiniteError: if the pictures are not finite.
        StorageError: if they cannot be written.
    """
    directory = checkpoint.directory.parent.parent
    target = samples_directory(directory, checkpoint.digest, sampler, experiment)
    done = Samples.finished(target)
    if done is not None:
        return done
    model = Model.load(checkpoint, ema=experiment.sampling.ema, machine=Machine.here(experiment.training.precision))
    events = events or Events()
    run = Run("sample", sampler.label, target, experiment.sampling.count, sampler.options())
    events.run_start(run)
    try:
        with threads(experiment.threads):
            samples = _sample(experiment, checkpoint, model, sampler, run, events)
    except BaseException:
        events.run_end(run, "failed")
        raise
    metrics = {"seconds_per_picture": samples.about["seconds_per_picture"]}
    Journal(directory).on_metrics(run, run.total, metrics)
    events.metrics(run, run.total, metrics)
    events.pictures(run, run.total, f"samples/{sampler.label}", samples.grid)
    events.run_end(run, "finished")
    return samples


def _sample(
    experiment: Experiment, checkpoint: Checkpoint, model: Model, sampler: Sampler, run: Run, events: Events
) -> Samples:
    about = _about(experiment, checkpoint, model, sampler)
    with committed(run.directory, "samples", about) as staging:
        path = staging / "pictures.npy"
        pictures = new_array(path, (run.total, *model.shape), np.uint8)
        start = time.perf_counter()
        _fill(pictures, experiment, model, sampler, run, events)
        about["seconds_per_picture"] = (time.perf_counter() - start) / run.total
        pictures.flush()
        labels = labels_of(model, experiment.sampling, range(run.total))
        columns = columns_of(0 if labels is None else len(model.classes))
        save_png(grid(pictures[: 8 * columns], columns), staging / "grid.png")
        if labels is not None:
            np.save(staging / "labels.npy", labels.numpy())
    return Samples.open(run.directory)


def _fill(
    pictures: np.memmap[Any, Any],
    experiment: Experiment,
    model: Model,
    sampler: Sampler,
    run: Run,
    events: Events,
) -> None:
    device = model.machine.device
    size = experiment.sampling.batch or _BATCH[device.type]
    for start in range(0, run.total, size):
        indices = range(start, min(start + size, run.total))
        denoise = stacked(model, sampler, experiment.sampling, indices)
        drawn = draw(denoise, sampler, model.shape, indices, experiment.seed, device)
        pictures[indices.start : indices.stop] = to_bytes(drawn).cpu().numpy()
        events.step(run, indices.stop, {})


def _about(experiment: Experiment, checkpoint: Checkpoint, model: Model, sampler: Sampler) -> dict[str, Any]:
    steps = _steps(model, sampler)
    return {
        "label": sampler.label,
        "sampler": sampler.options(),
        "plugin": registry().origin_of(sampler),
        "steps": len(steps) - 1,
        "network_calls": network_calls(sampler, steps),
        "count": experiment.sampling.count,
        "seed": experiment.seed,
        "clip": experiment.sampling.clip,
        "labels": experiment.sampling.labels if model.classes else None,
        "ema": experiment.sampling.ema and "ema.safetensors" in checkpoint.manifest.files,
        "checkpoint": checkpoint.digest,
        "step": checkpoint.step,
        "precision": model.machine.precision,
        "device": model.machine.device.type,
        "versions": {"noisette": version("noisette"), "torch": torch.__version__},
    }


def _steps(model: Model, sampler: Sampler) -> list[int]:
    """Return the sampler's walk over the model's steps."""
    try:
        return model.tables.timesteps(sampler.steps, sampler.spacing)
    except ValueError as error:
        raise PluginError(f"sampler {sampler.label}: {error}") from None
