"""Sampling engine: the pictures of one sampler, streamed to disk; what is killed goes on where it was."""

from __future__ import annotations

import logging
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from noisette.checkpoint import Checkpoint
from noisette.contracts import Sampler
from noisette.data import Prepared
from noisette.errors import PluginError
from noisette.events import Events
from noisette.hooks import Run
from noisette.journal import Journal
from noisette.layout import data_directory, samples_directory
from noisette.machine import Machine, threads
from noisette.pictures import columns_of, grid, save_png
from noisette.plugins import registry
from noisette.sampling.draw import draw, to_bytes
from noisette.sampling.hints import hints_of
from noisette.sampling.partial import Partial
from noisette.sampling.samples import Samples
from noisette.sampling.stack import labels_of, network_calls, stacked
from noisette.storage import resumable
from noisette.training.model import Model, weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.config import Experiment

__all__ = ["sample"]

log = logging.getLogger(__name__)

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

    Batches are kept as they are drawn, so that a call that was stopped or killed goes on behind them, with the same
    bits as one that was not.

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
        StorageError: if they cannot be written, or another process is drawing them.
    """
    directory = checkpoint.run
    target = samples_directory(directory, checkpoint.digest, sampler, experiment)
    done = Samples.finished(target)
    if done is not None:
        return done
    model = Model.load(checkpoint, ema=experiment.sampling.ema, machine=Machine.here(experiment.training.precision))
    data = Prepared.finished(data_directory(experiment, Path(root))) if model.inputs.low_resolution else None
    events = events or Events()
    run = Run("sample", sampler.label, target, experiment.sampling.count, sampler.options())
    events.run_start(run)
    try:
        with threads(experiment.threads):
            drawing = _Drawing(experiment, model, sampler, run, events, data)
            samples = _sample(checkpoint, drawing)
    except BaseException as error:
        events.run_end(run, "failed" if isinstance(error, Exception) else "stopped")
        raise
    metrics = {"seconds_per_picture": samples.about["seconds_per_picture"]}
    Journal(directory).on_metrics(run, run.total, metrics)
    events.metrics(run, run.total, metrics)
    events.pictures(run, run.total, f"samples/{sampler.label}", samples.grid)
    events.run_end(run, "finished")
    return samples


def _sample(checkpoint: Checkpoint, drawing: _Drawing) -> Samples:
    experiment, model, run = drawing.experiment, drawing.model, drawing.run
    about = _about(experiment, checkpoint, model, drawing.sampler)
    with resumable(run.directory, "samples", about) as staging:
        partial = Partial(staging, (run.total, *model.shape), {**about, "batch": drawing.size})
        drawing.go_on(partial)
        about["seconds_per_picture"] = sum(partial.batches.values()) / run.total
        partial.pictures.flush()
        labels = labels_of(model, experiment.sampling, range(run.total))
        columns = columns_of(0 if labels is None else len(model.classes))
        save_png(grid(partial.pictures[: 8 * columns], columns), staging / "grid.png")
        if labels is not None:
            np.save(staging / "labels.npy", labels.numpy())
    return Samples.open(run.directory)


class _Drawing:
    """The batches of one call of `sample`."""

    def __init__(
        self,
        experiment: Experiment,
        model: Model,
        sampler: Sampler,
        run: Run,
        events: Events,
        data: Prepared | None,
    ) -> None:
        self.experiment, self.model, self.sampler, self.run, self.events = experiment, model, sampler, run, events
        self.data = data
        self.size = experiment.sampling.batch or _BATCH[model.machine.device.type]

    def go_on(self, partial: Partial) -> None:
        """Draw the batches that are not kept."""
        batches = [range(at, min(at + self.size, self.run.total)) for at in range(0, self.run.total, self.size)]
        self._trust(partial, [batch for batch in batches if batch in partial])
        self._warm_up(batches[0])
        for batch in batches:
            if batch not in partial:
                start = time.perf_counter()
                drawn = self._draw(batch)
                partial.add(batch, drawn, time.perf_counter() - start)
            self.events.step(self.run, batch.stop, {})

    def _warm_up(self, batch: range) -> None:
        """Call the network once, untimed: the first call of a process pays for what all others use."""
        model = self.model
        denoise = stacked(model, self.sampler, self.experiment.sampling, batch, hints_of(model, self.data, batch))
        x = torch.zeros(len(batch), *model.shape, device=model.machine.device)
        with torch.inference_mode():
            denoise(x, len(model.tables) - 1)

    def _trust(self, partial: Partial, kept: list[range]) -> None:
        """Draw one of the kept batches again: a sampler that was edited since then begins anew."""
        if not kept:
            return
        if partial.holds(kept[-1], self._draw(kept[-1])):
            log.info(
                "%s goes on: %d of %d batches are drawn", self.run.name, len(kept), -(-self.run.total // self.size)
            )
        else:
            log.warning("%s begins anew: it would not draw the pictures again that are there", self.run.name)
            partial.forget()

    def _draw(self, batch: range) -> NDArray[np.uint8]:
        model = self.model
        hint = hints_of(model, self.data, batch)
        denoise = stacked(model, self.sampler, self.experiment.sampling, batch, hint)
        drawn = draw(denoise, self.sampler, model.shape, batch, self.experiment.seed, model.machine.device)
        pictures: NDArray[np.uint8] = to_bytes(drawn).cpu().numpy()
        return pictures


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
        "ema": _averaged(checkpoint, experiment.sampling.ema),
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


def _averaged(checkpoint: Checkpoint, ema: bool | float) -> bool | float:
    """Return of which average the weights are: True for the first, a number for another, False for none."""
    file = weights_of(checkpoint, ema)
    return False if file == "network.safetensors" else True if file == "ema.safetensors" else ema
