"""The training loop: steps, metrics, previews, evaluations and checkpoints; it can be stopped and resumed."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette.checkpoint import Checkpoint, find_finished_checkpoint
from noisette.data import Prepared
from noisette.diffusion.schedule_checks import find_schedule_problems
from noisette.errors import CheckpointError, DataError, NotFiniteError
from noisette.evaluation.requirements import require_ready
from noisette.events import Events
from noisette.hooks import Run
from noisette.journal import Journal
from noisette.layout import data_directory, training_directory
from noisette.machine import Machine, device_type, use_threads
from noisette.model.plugins import require_registered
from noisette.progress import default_events
from noisette.storage import owned
from noisette.training.batches import Batches
from noisette.training.distributed import WorkerGroup, is_distributed, join_group
from noisette.training.posthoc_ema import save_snapshot
from noisette.training.preview import save_preview_grid
from noisette.training.resume import copy_history, find_resume_point, set_aside
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
    """Train the experiment's network on its prepared images, resuming an earlier run if there is one.

    A finished training is returned at once. On SIGINT, SIGTERM and SIGHUP the current step is finished, a
    checkpoint written, and the signal sent again. A resumed run gives the same bits as an uninterrupted one. A run
    with more steps than an earlier one, and otherwise the same options, resumes from it; see
    `noisette.training.resume`. With `training.processes` several processes train, started here
    (`noisette.training.launch`) or by torchrun.

    Args:
        experiment: the experiment to train.
        root: folder of all results; see `noisette.layout`.
        again: train a finished network again from step 0; its directory is renamed and kept.
        events: receives steps, metrics, image grids and checkpoints.

    Raises:
        DataError: if the images are not prepared, or are too few for the network.
        PluginError: if a plugin is not registered, so that the checkpoint could not be loaded again.
        CheckpointError: if the checkpoint in the run's directory belongs to another experiment, or
            `training.steps` is 0 and no network was imported.
        NotFiniteError: if the loss is not finite; the last checkpoint is kept.
        StorageError: if another process trains in this directory, the images are damaged, or the disk is full.
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
        return _Training(experiment, data, directory, events or default_events(), group, stop).run()


def _rng_devices() -> list[int]:
    """Return the GPU of this process in a list; forking the generators of other GPUs would initialize them."""
    return [torch.cuda.current_device()] if device_type() == "cuda" else []


class _Training:
    """One call of `train`."""

    def __init__(
        self,
        experiment: Experiment,
        data: Prepared,
        directory: Path,
        events: Events,
        group: WorkerGroup,
        stop: Stop,
    ) -> None:
        self.options, self.directory, self.group, self.stop = experiment.training, directory, group, stop
        self.events = events if group.is_main else Events(installed=False)
        self.run_info = Run("train", experiment.name, directory, experiment.training.steps, experiment.options())
        self.journal = Journal(directory) if group.is_main else None
        self.state = TrainingState(experiment, data, Machine.detect(experiment.training.precision), group)
        self.process = experiment.schedule.process(experiment.timesteps)
        self.batches = Batches(experiment, data, self.state.timestep_sampler)
        if self.batches.smallest < group.size:
            raise DataError(
                f"training.drop_last: the last batch of an epoch has {self.batches.smallest} images, fewer than "
                f"the {group.size} processes; set it to true"
            )
        self.stepper = Stepper(self.state, self.process)
        self.start_time = self.log_time = self.save_time = time.perf_counter()
        self.last_checkpoint: Checkpoint | None = None
        self.is_stopped = False

    def run(self) -> Checkpoint:
        """Train to the last step, or until a stop is requested; return the last checkpoint."""
        if self.group.is_main:
            if self.options.precision == "fp16" and not self.state.scaler.is_enabled():
                log.warning("training.precision=fp16 needs a GPU: training in fp32")
            for problem in find_schedule_problems(self.process):
                log.warning("%s", problem)
        self._resume()
        with self.events.stage(self.run_info, is_stopped=self._should_stop):
            return self._loop()

    def _loop(self) -> Checkpoint:
        state, options = self.state, self.options
        if self._is_evaluation_missing():
            self._evaluate()
        while state.step < options.steps and not self._should_stop() and not state.end_reason:
            grad_norm = self.stepper(self.batches[state.step])
            self.events.step(self.run_info, state.step, {})
            if self._is_due(options.log_every):
                self._log(grad_norm)
            if self._is_due(options.preview_every):
                self._preview()
            if self._is_due(options.ema_snapshot_every):
                save_snapshot(state.emas, state.step, self.group, self.directory)
            if self._is_due(options.evaluate_every) and not self._should_stop():
                self._evaluate()
            if options.max_seconds is not None and self.group.any(self._elapsed_seconds() >= options.max_seconds):
                state.end_reason = f"its {options.max_seconds:g} seconds are over"
            if state.step < options.steps and not self._should_stop() and self._is_checkpoint_due():
                self._save()
        return self._save()

    def _should_stop(self) -> bool:
        """Return whether a process of the group received a signal; once True for all, it stays True.

        All processes must call it equally often: it is an all-reduce.
        """
        self.is_stopped = self.is_stopped or self.group.any(self.stop.requested)
        return self.is_stopped

    def _is_due(self, every: int | None) -> bool:
        return every is not None and self.state.step % every == 0

    def _is_checkpoint_due(self) -> bool:
        if self._is_due(self.options.checkpoint_every):
            return True
        interval = self.options.checkpoint_seconds
        return interval is not None and self.group.any(time.perf_counter() - self.save_time >= interval)

    def _is_evaluation_missing(self) -> bool:
        """Return whether the run was stopped during the evaluation at the step it resumes from."""
        step, best = self.state.step, self.state.best
        last_step = 0 if best is None else best.seen
        return self._is_due(self.options.evaluate_every) and last_step < step < self.options.steps

    def _elapsed_seconds(self) -> float:
        """Return the time spent training, including that of earlier processes."""
        return time.perf_counter() - self.start_time

    def _resume(self) -> None:
        checkpoint = find_resume_point(self.state.experiment, self.directory, self.state.data)
        if checkpoint is None:
            return
        self.state.restore(checkpoint)
        self.start_time -= self.state.seconds
        if checkpoint.run == self.directory:
            self.last_checkpoint = checkpoint
        elif self.journal is not None:
            copy_history(self.directory, checkpoint.run, checkpoint.step, self.journal)

    def _log(self, grad_norm: Tensor) -> None:
        steps, losses = len(self.stepper.losses), self.stepper.losses.pop_means()
        if not isfinite(losses["loss"]):
            raise NotFiniteError(
                f"{self.directory}: the loss is not finite at step {self.state.step}; the last checkpoint is kept. "
                "Try a lower training.lr, training.max_grad_norm, or training.precision=fp32"
            )
        elapsed = time.perf_counter() - self.log_time
        scaling = self.stepper.pop_skipped()
        if scaling.get("skipped_steps"):
            log.info(
                "%d of %d steps changed no weight, as their fp16 gradients overflowed; the loss scale is now %g",
                scaling["skipped_steps"],
                steps,
                scaling["loss_scale"],
            )
        norm = float(grad_norm)
        self._report_metrics(
            {
                **losses,
                "lr": float(self.state.optimizer.param_groups[0]["lr"]),
                **({"grad_norm": norm} if isfinite(norm) or not scaling else {}),
                "images_per_second": steps * self.options.batch_size / elapsed,
                **scaling,
            }
        )
        self.log_time = time.perf_counter()

    def _report_metrics(self, metrics: dict[str, float]) -> None:
        if self.journal is not None:
            self.journal.on_metrics(self.run_info, self.state.step, metrics)
        self.events.metrics(self.run_info, self.state.step, metrics)

    def _preview(self) -> None:
        path = save_preview_grid(self.state, self.process, self.directory, self._should_stop)
        if path is not None:
            self.events.images(self.run_info, self.state.step, "training/grid", path)

    @cached_property
    def _validation(self) -> Validation:
        return Validation(self.state, self.process, self.directory.parent / "features", self._should_stop)

    def _evaluate(self) -> None:
        validation, patience = self._validation, self.options.patience
        self.events.activity(self.run_info, "evaluating")
        results = validation()
        if not results:
            return
        results = {name: self.group.broadcast(value) for name, value in results.items()}
        self._report_metrics(results)
        if validation.update_best(results, self.state.step):
            save_best(self.state, self.directory)
        best = self.state.best
        if patience is not None and best is not None and best.misses >= patience:
            self.state.end_reason = f"no better {best.by} since step {best.step}"

    def _save(self) -> Checkpoint:
        state, last = self.state, self.last_checkpoint
        if last is not None and last.step == state.step:
            return last  # writing it again could only damage it
        state.seconds = self._elapsed_seconds()
        if state.end_reason:
            log.info("training ends at step %d: %s", state.step, state.end_reason)
        checkpoint = self.last_checkpoint = state.save(self.directory)
        self.save_time = time.perf_counter()
        self.events.checkpoint(self.run_info, state.step, checkpoint.directory)
        return checkpoint
