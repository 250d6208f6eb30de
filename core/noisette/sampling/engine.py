"""The stage `sample`: the images of one sampler, written to disk batch by batch and resumable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from noisette.checkpoint import Checkpoint
from noisette.code_changes import warn_if_sampler_changed
from noisette.contracts import Sampler
from noisette.events import Events
from noisette.hooks import Run
from noisette.images import choose_grid_columns, make_grid, save_png
from noisette.journal import Journal
from noisette.layout import samples_directory
from noisette.machine import use_threads
from noisette.model.model import labels_for
from noisette.progress import default_events
from noisette.sampling.resumable_array import ResumableArray
from noisette.sampling.samples import Samples, timing_conditions
from noisette.sampling.writer import SampleWriter
from noisette.storage import resumable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.config import Experiment

__all__ = ["log_samples", "sample", "write_grid_and_labels"]


def sample(
    experiment: Experiment,
    checkpoint: Checkpoint,
    sampler: Sampler,
    root: Path | str = "runs",
    *,
    again: bool = False,
    events: Events | None = None,
) -> Samples:
    """Generate `sampling.num_images` images from a checkpoint; finished ones are returned at once.

    Batches are stored as they are generated. A call that was stopped or killed resumes after them, with the same
    bits as an uninterrupted one.

    Args:
        experiment: its `sampling` and `seed` decide the images.
        checkpoint: the trained network.
        sampler: the sampler.
        root: results directory with the prepared images; samples are stored in the run of the checkpoint.
        again: generate the images again and replace finished ones once the new ones are complete.
        events: receives the progress, in images.

    Raises:
        CheckpointError: if a plugin of the checkpoint is not installed.
        PluginError: if the sampler takes more steps than were trained, or yields no images.
        NotFiniteError: if the images are not finite.
        StorageError: if the images cannot be written, or another process generates them.
    """
    directory = checkpoint.run
    target = samples_directory(directory, checkpoint.digest, sampler, experiment)
    done = Samples.finished(target)
    if done is not None and not again:
        return done
    warn_if_sampler_changed(experiment, checkpoint, sampler, target)
    events = events or default_events()
    run = Run("sample", sampler.label, target, experiment.sampling.num_images, sampler.options())
    writer = SampleWriter(experiment, checkpoint, sampler, range(run.total), run, events, root)
    with events.stage(run):
        with use_threads(experiment.threads):
            samples = _sample(writer)
        log_samples(samples, run, events)
    return samples


def log_samples(samples: Samples, run: Run, events: Events) -> None:
    """Log the seconds per image and the image grid."""
    metrics = {"seconds_per_image": samples.about["seconds_per_image"]}
    Journal(samples.directory.parent.parent).on_metrics(run, run.total, metrics)
    events.metrics(run, run.total, metrics)
    events.images(run, run.total, f"samples/{samples.label}", samples.grid)


def write_grid_and_labels(
    staging: Path, images: NDArray[np.uint8], labels: NDArray[np.int64] | None, classes: int
) -> None:
    """Write the grid of the images, and their labels if there are any."""
    columns = choose_grid_columns(0 if labels is None else classes)
    save_png(make_grid(images[: 8 * columns], columns), staging / "grid.png")
    if labels is not None:
        np.save(staging / "labels.npy", labels)


def _sample(writer: SampleWriter) -> Samples:
    experiment, model, run = writer.experiment, writer.model, writer.run
    about = writer.describe()
    with resumable(run.directory, "samples", about) as staging:
        array = ResumableArray(staging, (run.total, *model.shape), {**about, "batch": writer.size})
        together = not array.batches
        writer.resume(array)
        about["timed"] = timing_conditions(together=together)
        about["network_calls"] = writer.calls
        about["seconds_per_image"] = sum(array.batches.values()) / run.total
        array.images.flush()
        labels = labels_for(model, experiment.sampling, range(run.total))
        write_grid_and_labels(staging, array.images, None if labels is None else labels.numpy(), len(model.classes))
    return Samples.open(run.directory)
