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

from noisette.checkpoint import Checkpoint, find_finished_checkpoint
from noisette.data import Prepared
from noisette.diffusion.signal import find_schedule_problems
from noisette.errors import CheckpointError, DataError, NotFiniteError
from noisette.evaluation.requirements import require_ready
from noisette.events import Events
from noisette.hooks import Run
from noisette.journal import Journal
from noisette.layout import data_directory, training_directory
from noisette.machine import Machine, device_type, use_threads
from noisette.model.stored import require_registered
from noisette.progress import default_events
from noisette.storage import owned
from noisette.training.anew import set_aside
from noisette.training.batches import Batches
from noisette.training.distributed import GroupStop, WorkerGroup, is_distributed, join_group
from noisette.training.posthoc_ema import save_snapshot
from noisette.training.preview import save_preview_grid
from noisette.training.resume import copy_history, find_resume_point
from noisette.training.state import TrainingState
from noisette.training.step import Stepper
from noisette.training.stop import Stop, graceful_stop
from noisette.training.validation import Validation, save_best

if TYPE_CHECKING:
    from noisette.config import Experiment

__all__ = ["train"]

log = logging.getLogger(__name__)


def train(
    experiment: Experiment, root: Path | str = "runs", *, again: bool = False, events: Events | None = None
) -> Checkpoint:
    """Train the experiment's network on its prepared images, or go on where an earlier run stopped.

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
        DataError: if the images are not prepared, or are too few for the network.
        PluginError: if a plugin could not be found again when the checkpoint is loaded.
        CheckpointError: if the checkpoint in its directory is of another experiment, or no step is asked for.
        NotFiniteError: if the loss is not finite; the last good checkpoint stays.
        StorageError: if another process trains here, the images are damaged, or the disk is full.
    """
    require_registered(experiment)
    if experiment.training.evaluate_every:
        require_ready(experiment.evaluation)
    if again:
        set_aside(experiment, Path(root))
    directory = training_directory(experiment, Path(root))
    done = find_finished_checkpoint(directory, experiment.training.steps)
    if done is not None:
        return done
    if experiment.training.steps == 0:
        raise CheckpointError(
            f"{directory}: training.steps=0 stands for an imported network, and there is none: import it again, "
            "or train some steps"
        )
    if Prepared.finished(data_directory(experiment, Path(root))) is None:
        raise DataError(f"{data_directory(experiment, Path(root))}: is not prepared; run the prepare stage first")
    if experiment.training.processes > 1 and not is_distributed():
        from noisette.training.launch import launch_workers

        return launch_workers(experiment, Path(root), directory, events or default_events())
    data = Prepared.open(data_directory(experiment, Path(root)))
    with (
        join_group(experiment.training.parallel) as group,
        owned(directory) if group.is_main else nullcontext(),
        graceful_stop() as stop,
        torch.random.fork_rng(_rng_devices()),
        use_threads(experiment.threads),
    ):
        training = _Training(experiment, data, directory, events or default_events(), group)
        return training.run(GroupStop(stop, group))


def _rng_devices() -> list[int]:
    """Return the GPU that this process computes on, in a list; to look at others would begin work on them."""
    return [torch.cuda.current_device()] if device_type() == "cuda" else []


class _Training:
    """One call of `train`."""

    def __init__(
        self, experiment: Experiment, data: Prepared, directory: Path, events: Events, group: WorkerGroup
    ) -> None:
        self.options, self.directory, self.group = experiment.training, directory, group
        self.events = events if group.is_main else Events(installed=False)
        self.run_info = Run("train", experiment.name, directory, experiment.training.steps, experiment.options())
        self.journal = Journal(directory) if group.is_main else None
        self.state = TrainingState(experiment, data, Machine.detect(experiment.training.precision), group)
        self.process = experiment.schedule.process(experiment.timesteps)
        self.batches = Batches(experiment, data, self.state.timestep_sampler)
        self.step = Stepper(self.state, self.process)
        self.log_time = self.save_time = time.perf_counter()
        self.last_checkpoint: Checkpoint | None = None
        self.validation: Validation | None = None
        self.start_time, self.earlier_seconds = time.perf_counter(), 0.0

    def run(self, stop: Stop) -> Checkpoint:
        """Train to the last step, or to a stop, and return the last checkpoint."""
        if self.group.is_main:
            for remark in find_schedule_problems(self.process):
                log.warning("%s", remark)
        self._resume()
        with self.events.stage(self.run_info, is_stopped=lambda: bool(stop)):
            return self._loop(stop)

    def _resume(self) -> None:
        checkpoint = find_resume_point(self.state.experiment, self.directory, self.state.data)
        if checkpoint is not None:
            self.state.restore(checkpoint)
            self.earlier_seconds = self.state.seconds
            run = checkpoint.run
            if run == self.directory:
                self.last_checkpoint = checkpoint
            elif self.journal is not None:
                copy_history(self.directory, run, checkpoint.step, self.journal)

    def _loop(self, stop: Stop) -> Checkpoint:
        if self._has_missed_evaluation():
            self._evaluate(stop)
        while self.state.step < self.options.steps and not stop and not self.state.end_reason:
            grad_norm = self.step(self.batches[self.state.step])
            self.events.step(self.run_info, self.state.step, {})
            self._run_periodic_tasks(grad_norm, stop)
        return self._save()

    def _run_periodic_tasks(self, grad_norm: Tensor, stop: Stop) -> None:
        step, options = self.state.step, self.options
        if step % options.log_every == 0:
            self._log(grad_norm)
        if options.preview_every and step % options.preview_every == 0:
            path = save_preview_grid(self.state, self.process, self.directory, stop)
            if path is not None:
                self.events.images(self.run_info, step, "training/grid", path)
        if options.ema_snapshot_every and step % options.ema_snapshot_every == 0:
            save_snapshot(self.state.emas, step, self.group, self.directory)
        if options.evaluate_every and step % options.evaluate_every == 0 and not stop:
            self._evaluate(stop)
        if options.max_seconds is not None and self.group.any(self._elapsed_seconds() >= options.max_seconds):
            self.state.end_reason = f"its {options.max_seconds:g} seconds are over"
        if (
            step < options.steps
            and not stop
            and (step % options.checkpoint_every == 0 or self._is_checkpoint_due())
        ):
            self._save()

    def _elapsed_seconds(self) -> float:
        """Return the time spent training, that of earlier processes too."""
        return self.earlier_seconds + time.perf_counter() - self.start_time

    def _has_missed_evaluation(self) -> bool:
        """Return whether a run that goes on was stopped in the midst of an evaluation."""
        step, every = self.state.step, self.options.evaluate_every
        seen = 0 if self.state.best is None else self.state.best.seen
        return bool(every and step % every == 0 and seen < step < self.options.steps)

    def _evaluate(self, stop: Stop) -> None:
        if self.validation is None:
            self.validation = Validation(self.state, self.process, self.directory.parent / "features")
        step, patience = self.state.step, self.options.patience
        self.events.activity(self.run_info, "evaluating")
        results = self.validation(stop)
        if not results:
            return
        results = {name: self.group.broadcast(value) for name, value in results.items()}
        self._report_metrics(results)
        if self.validation.update_best(results, step):
            save_best(self.state, self.directory)
        best = self.state.best
        if patience is not None and best is not None and best.misses >= patience:
            self.state.end_reason = f"no better {best.by} since step {best.step}"

    def _is_checkpoint_due(self) -> bool:
        interval = self.options.checkpoint_seconds
        return interval is not None and self.group.any(time.perf_counter() - self.save_time >= interval)

    def _log(self, grad_norm: Tensor) -> None:
        seen = len(self.step.losses)
        losses = self.step.losses.pop_means()
        if not isfinite(losses["loss"]):
            raise NotFiniteError(
                f"{self.directory}: the loss is not finite at step {self.state.step}; the last checkpoint is kept. "
                "Try a lower training.lr, training.max_grad_norm, or training.precision=fp32"
            )
        elapsed = time.perf_counter() - self.log_time
        metrics = {
            **losses,
            "lr": float(self.state.optimizer.param_groups[0]["lr"]),
            "grad_norm": float(grad_norm),
            "images_per_second": seen * self.options.batch_size / elapsed,
        }
        self._report_metrics(metrics)
        self.log_time = time.perf_counter()

    def _report_metrics(self, metrics: dict[str, float]) -> None:
        if self.journal is not None:
            self.journal.on_metrics(self.run_info, self.state.step, metrics)
        self.events.metrics(self.run_info, self.state.step, metrics)

    def _save(self) -> Checkpoint:
        if self.last_checkpoint is not None and self.last_checkpoint.step == self.state.step:
            return self.last_checkpoint  # a good checkpoint is not put at risk by writing it again
        self.state.seconds = self._elapsed_seconds()
        if self.state.end_reason:
            log.info("training ends at step %d: %s", self.state.step, self.state.end_reason)
        self.last_checkpoint = self.state.save(self.directory)
        self.save_time = time.perf_counter()
        self.events.checkpoint(self.run_info, self.state.step, self.last_checkpoint.directory)
        return self.last_checkpoint
