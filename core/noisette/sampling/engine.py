"""Sampling engine: the pictures of one sampler, streamed to disk; what is killed goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from noisette.checkpoint import Checkpoint
from noisette.contracts import Sampler
from noisette.data import Prepared
from noisette.edited import warn_of_edited_sampler
from noisette.events import Events
from noisette.hooks import Run
from noisette.images import columns_of, grid, save_png
from noisette.journal import Journal
from noisette.layout import data_directory, samples_directory
from noisette.machine import Machine, threads
from noisette.model.denoiser import labels_of
from noisette.model.model import Model
from noisette.progress import default_events
from noisette.sampling.resume import Partial
from noisette.sampling.samples import Samples, conditions
from noisette.sampling.writer import Drawing, about_of
from noisette.storage import resumable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.config import Experiment

__all__ = ["finish", "sample", "tell"]


def sample(
    experiment: Experiment,
    checkpoint: Checkpoint,
    sampler: Sampler,
    root: Path | str = "runs",
    *,
    again: bool = False,
    events: Events | None = None,
) -> Samples:
    """Draw `sampling.num_images` pictures from a checkpoint; finished ones are returned at once.

    Batches are kept as they are drawn, so that a call that was stopped or killed goes on behind them, with the same
    bits as one that was not.

    Args:
        experiment: its `sampling` and `seed` decide the pictures.
        checkpoint: the trained network.
        sampler: how to draw them.
        root: folder of all results; the samples lie beside the checkpoint, wherever that is.
        again: make them anew; finished ones are replaced when the new ones are complete.
        events: who is told of the progress, in pictures.

    Raises:
        CheckpointError: if the checkpoint needs a plugin that is missing.
        PluginError: if the sampler wants more steps than were trained, or yields no pictures.
        NotFiniteError: if the pictures are not finite.
        StorageError: if they cannot be written, or another process is drawing them.
    """
    directory = checkpoint.run
    target = samples_directory(directory, checkpoint.digest, sampler, experiment)
    done = Samples.finished(target)
    if done is not None and not again:
        return done
    warn_of_edited_sampler(experiment, checkpoint, sampler, target)
    model = Model.load(checkpoint, ema=experiment.sampling.ema, machine=Machine.here(experiment.training.precision))
    data = Prepared.finished(data_directory(experiment, Path(root))) if model.inputs.low_res_size else None
    events = events or default_events()
    run = Run("sample", sampler.label, target, experiment.sampling.num_images, sampler.options())
    events.run_start(run)
    try:
        with threads(experiment.threads):
            drawing = Drawing(experiment, model, sampler, range(run.total), run, events, data)
            samples = _sample(checkpoint, drawing)
    except BaseException as error:
        events.run_end(run, "failed" if isinstance(error, Exception) else "stopped")
        raise
    tell(samples, run, events)
    return samples


def tell(samples: Samples, run: Run, events: Events) -> None:
    """Write down how long drawing took, and tell that it is done."""
    metrics = {"seconds_per_picture": samples.about["seconds_per_picture"]}
    Journal(samples.directory.parent.parent).on_metrics(run, run.total, metrics)
    events.metrics(run, run.total, metrics)
    events.pictures(run, run.total, f"samples/{samples.label}", samples.grid)
    events.run_end(run, "finished")


def finish(staging: Path, pictures: NDArray[np.uint8], labels: NDArray[np.int64] | None, classes: int) -> None:
    """Write what lies beside the pictures: their grid, and the classes that were asked for."""
    columns = columns_of(0 if labels is None else classes)
    save_png(grid(pictures[: 8 * columns], columns), staging / "grid.png")
    if labels is not None:
        np.save(staging / "labels.npy", labels)


def _sample(checkpoint: Checkpoint, drawing: Drawing) -> Samples:
    experiment, model, run = drawing.experiment, drawing.model, drawing.run
    about = about_of(experiment, checkpoint, model, drawing.sampler)
    with resumable(run.directory, "samples", about) as staging:
        partial = Partial(staging, (run.total, *model.shape), {**about, "batch": drawing.size})
        together = not partial.batches
        drawing.go_on(partial)
        about["timed"] = conditions(together=together)
        about["network_calls"] = drawing.calls
        about["seconds_per_picture"] = sum(partial.batches.values()) / run.total
        partial.pictures.flush()
        labels = labels_of(model, experiment.sampling, range(run.total))
        finish(staging, partial.pictures, None if labels is None else labels.numpy(), len(model.classes))
    return Samples.open(run.directory)
