"""The training loop: steps, checkpoints, measurements, grids; stoppable and resumable at any time."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette.checkpoint import Checkpoint, finished
from noisette.data import Prepared
from noisette.diffusion.signal import remarks_on_schedule
from noisette.errors import CheckpointError, DataError, NotFiniteError
from noisette.evaluation.requirements import require_ready
from noisette.events import Events
from noisette.hooks import Run
from noisette.journal import Journal
from noisette.layout import data_directory, training_directory
from noisette.machine import Machine, device_type, threads
from noisette.model.stored import require_findable
from noisette.progress import default_events
from noisette.storage import owned
from noisette.training.anew import set_aside
from noisette.training.batches import Batches
from noisette.training.distributed import AgreedStop, Group, is_joined, joined
from noisette.training.posthoc_ema import keep_snapshot
from noisette.training.preview import draw_grid
from noisette.training.resume import adopt, beginning
from noisette.training.state import TrainingState
from noisette.training.step import Stepper
from noisette.training.stop import Stop, graceful_stop
from noisette.training.validation import Validation, keep_best

if TYPE_CHECKING:
    from noisette.config import Experiment

__all__ = ["train"]

log = logging.getLogger(__name__)


def train(
    experiment: Experiment, root: Path | str = "runs", *, again: bool = False, events: Events | None = None
) -> Checkpoint:
    """Train the experiment's network on its prepared pictures, or go on where an earlier run stopped.

    A finished training is returned at once. SIGINT, SIGTERM and SIGHUP end the step at work, write a checkpoint,
    and then do what they always do. A run that is resumed ends in the same bits as one that was never stopped. More
    steps than an earlier run of the same course had go on where it ended; see `noisette.training.resume`. With
    `training.processes` it is trained in several, started here (`noisette.training.launch`), or as torchrun says.

    Args:
        experiment: what to train.
        root: folder of all results; see `noisette.layout`.
        again: train a finished network anew from step 0; its directory is kept under another name.
        events: who is told of steps, measurements, grids and checkpoints.

    Raises:
        DataError: if the pictures are not prepared, or are too few for the network.
        PluginError: if a plugin could not be found again when the checkpoint is loaded.
        CheckpointError: if the checkpoint in its directory is of another experiment, or no step is asked for.
        NotFiniteError: if the loss is not finite; the last good checkpoint stays.
        StorageError: if another process trains here, the pictures are damaged, or the disk is full.
    """
    require_findable(experiment)
    if experiment.training.evaluate_every:
        require_ready(experiment.evaluation)
    if again:
        set_aside(experiment, Path(root))
    directory = training_directory(experiment, Path(root))
    done = finished(directory, experiment.training.steps)
    if done is not None:
        return done
    if experiment.training.steps == 0:
        raise CheckpointError(
            f"{directory}: training.steps=0 stands for an imported network, and there is none: import it again, "
            "or train some steps"
        )
    if Prepared.finished(data_directory(experiment, Path(root))) is None:
        raise DataError(f"{data_directory(experiment, Path(root))}: is not prepared; run the prepare stage first")
    if experiment.training.processes > 1 and not is_joined():
        from noisette.training.launch import launched

        return launched(experiment, Path(root), directory, events or default_events())
    data = Prepared.open(data_directory(experiment, Path(root)))
    with (
        joined(experiment.training.parallel) as group,
        owned(directory) if group.is_first else nullcontext(),
        graceful_stop() as stop,
        torch.random.fork_rng(_here()),
        threads(experiment.threads),
    ):
        training = _Training(experiment, data, directory, events or default_events(), group)
        return training.run(AgreedStop(stop, group))


def _here() -> list[int]:
    """Return the GPU that this process computes on, in a list; to look at others would begin work on them."""
    return [torch.cuda.current_device()] if device_type() == "cuda" else []


class _Training:
    """One call of `train`."""

    def __init__(
        self, experiment: Experiment, data: Prepared, directory: Path, events: Events, group: Group
    ) -> None:
        self.options, self.directory, self.group = experiment.training, directory, group
        self.events = events if group.is_first else Events(installed=False)
        self.run_info = Run("train", experiment.name, directory, experiment.training.steps, experiment.options())
        self.journal = Journal(directory) if group.is_first else None
        self.state = TrainingState(experiment, data, Machine.here(experiment.training.precision), group)
        self.tables = experiment.schedule.process(experiment.timesteps)
        self.batches = Batches(experiment, data, self.state.times)
        self.step = Stepper(self.state, self.tables)
        self.since = self.saved = time.perf_counter()
        self.last: Checkpoint | None = None
        self.validation: Validation | None = None
        self.began, self.spent = time.perf_counter(), 0.0

    def run(self, stop: Stop) -> Checkpoint:
        """Train to the last step, or to a stop, and return the last checkpoint."""
        if self.group.is_first:
            for remark in remarks_on_schedule(self.tables):
                log.warning("%s", remark)
        self._resume()
        self.events.run_start(self.run_info)
        try:
            checkpoint = self._loop(stop)
        except BaseException:
            self.events.run_end(self.run_info, "failed")
            raise
        self.events.run_end(self.run_info, "stopped" if stop else "finished")
        return checkpoint

    def _resume(self) -> None:
        checkpoint = beginning(self.state.experiment, self.directory, self.state.data)
        if checkpoint is not None:
            self.state.restore(checkpoint)
            self.spent = self.state.seconds
            run = checkpoint.run
            if run == self.directory:
                self.last = checkpoint
            elif self.journal is not None:
                adopt(self.directory, run, checkpoint.step, self.journal)

    def _loop(self, stop: Stop) -> Checkpoint:
        if self._missed_evaluation():
            self._evaluate(stop)
        while self.state.step < self.options.steps and not stop and not self.state.ended:
            norm = self.step(self.batches[self.state.step])
            self.events.step(self.run_info, self.state.step, {})
            self._now_and_then(norm, stop)
        return self._save()

    def _now_and_then(self, norm: Tensor, stop: Stop) -> None:
        step, options = self.state.step, self.options
        if step % options.log_every == 0:
            self._log(norm)
        if options.preview_every and step % options.preview_every == 0:
            path = draw_grid(self.state, self.tables, self.directory, stop)
            if path is not None:
                self.events.pictures(self.run_info, step, "training/grid", path)
        if options.ema_snapshot_every and step % options.ema_snapshot_every == 0:
            keep_snapshot(self.state.averages, step, self.group, self.directory)
        if options.evaluate_every and step % options.evaluate_every == 0 and not stop:
            self._evaluate(stop)
        if options.max_seconds is not None and self.group.agreed(self._seconds() >= options.max_seconds):
            self.state.ended = f"its {options.max_seconds:g} seconds are over"
        if step < options.steps and not stop and (step % options.checkpoint_every == 0 or self._waited()):
            self._save()

    def _seconds(self) -> float:
        """Return the time spent training, that of earlier processes too."""
        return self.spent + time.perf_counter() - self.began

    def _missed_evaluation(self) -> bool:
        """Return whether a run that goes on was stopped in the midst of an evaluation."""
        step, every = self.state.step, self.options.evaluate_every
        seen = 0 if self.state.best is None else self.state.best.seen
        return bool(every and step % every == 0 and seen < step < self.options.steps)

    def _evaluate(self, stop: Stop) -> None:
        if self.validation is None:
            self.validation = Validation(self.state, self.tables, self.directory.parent / "features")
        step, patience = self.state.step, self.options.patience
        self.events.activity(self.run_info, "evaluating")
        results = self.validation(stop)
        if not results:
            return
        results = {name: self.group.told(value) for name, value in results.items()}
        self._measured(results)
        if self.validation.note(results, step):
            keep_best(self.state, self.directory)
        best = self.state.best
        if patience is not None and best is not None and best.misses >= patience:
            self.state.ended = f"no better {best.by} since step {best.step}"

    def _waited(self) -> bool:
        most = self.options.checkpoint_seconds
        return most is not None and self.group.agreed(time.perf_counter() - self.saved >= most)

    def _log(self, norm: Tensor) -> None:
        seen = len(self.step.losses)
        losses = self.step.losses.take()
        if not isfinite(losses["loss"]):
            raise NotFiniteError(
                f"{self.directory}: the loss is not finite at step {self.state.step}; the last checkpoint is kept. "
                "Try a lower training.lr, training.max_grad_norm, or training.precision=fp32"
            )
        elapsed = time.perf_counter() - self.since
        metrics = {
            **losses,
            "lr": float(self.state.optimizer.param_groups[0]["lr"]),
            "gradient_norm": float(norm),
            "pictures_per_second": seen * self.options.batch_size / elapsed,
        }
        self._measured(metrics)
        self.since = time.perf_counter()

    def _measured(self, metrics: dict[str, float]) -> None:
        if self.journal is not None:
            self.journal.on_metrics(self.run_info, self.state.step, metrics)
        self.events.metrics(self.run_info, self.state.step, metrics)

    def _save(self) -> Checkpoint:
        if self.last is not None and self.last.step == self.state.step:
            return self.last  # a good checkpoint is not put at risk by writing it again
        self.state.seconds = self._seconds()
        if self.state.ended:
            log.info("training ends at step %d: %s", self.state.step, self.state.ended)
        self.last = self.state.save(self.directory)
        self.saved = time.perf_counter()
        self.events.checkpoint(self.run_info, self.state.step, self.last.directory)
        return self.last
