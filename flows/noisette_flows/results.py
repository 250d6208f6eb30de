"""Finished results of an experiment, found on disk, or a message that says which stage to run first."""

from __future__ import annotations

from pathlib import Path

from noisette import CheckpointError, Experiment, Samples, StorageError
from noisette.checkpoint import Checkpoint, finished, latest
from noisette.layout import samples_directory, training_directory

__all__ = ["drawn_samples", "trained"]


def trained(experiment: Experiment, root: Path) -> Checkpoint:
    """Return the checkpoint of the finished training.

    Raises:
        CheckpointError: if the training is not finished.
    """
    run = training_directory(experiment, root)
    steps = experiment.training.steps
    checkpoint = finished(run, steps)
    if checkpoint is not None:
        return checkpoint
    last = latest(run)
    state = f"stands at step {last.step} of {steps}" if last else "has not begun"
    raise CheckpointError(f"{run}: the training of {experiment.name} {state}; run `noisette train` first")


def drawn_samples(experiment: Experiment, root: Path) -> list[Samples]:
    """Return the samples of all samplers of the experiment.

    Raises:
        CheckpointError: if the training is not finished.
        StorageError: if pictures are missing; names the samplers.
    """
    checkpoint = trained(experiment, root)
    run = training_directory(experiment, root)
    directories = {
        sampler.label: samples_directory(run, checkpoint.digest, sampler, experiment)
        for sampler in experiment.sampling.samplers
    }
    found = {label: Samples.finished(directory) for label, directory in directories.items()}
    missing = [label for label, samples in found.items() if samples is None]
    if missing:
        raise StorageError(f"{run}: no pictures of {', '.join(missing)} yet; run `noisette sample` first")
    return [samples for samples in found.values() if samples is not None]
