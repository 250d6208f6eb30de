"""What the processes of the fault suite do: stages of a tiny experiment, some with a kill or a defect built in."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from support.tiny import tiny

from noisette import Events, Experiment, Run, evaluate, hookimpl, prepare, sample, train
from noisette.checkpoint import Checkpoint, find_finished_checkpoint
from noisette.data import engine, ingest
from noisette.evaluation import feature_cache
from noisette.layout import training_directory
from noisette.sampling import Samples, resumable_array
from noisette.storage import commit, read_manifest
from noisette.training import state
from noisette.training.state import TrainingState

__all__ = [
    "KILLS",
    "evaluate_job",
    "file_limited_job",
    "forgetful_job",
    "in_place_prepare_job",
    "job_without_fsync",
    "overwrite_job",
    "prepare_job",
    "sample_job",
    "train_job",
    "training",
    "unverified_evaluate_job",
    "unverified_sample_job",
    "waiting_job",
]

Job = Callable[..., None]


def training(*overrides: str) -> Experiment:
    """The experiment that is killed: forty steps, a checkpoint after every second one."""
    return tiny(
        "training.steps=40",
        "training.checkpoint_every=2",
        "training.log_every=5",
        "training.keep_checkpoints=100",
        *overrides,
    )


class MarkerListener:
    """A listener that leaves on disk when work begins, the first step, and the checkpoints that were announced."""

    def __init__(self, began: Path) -> None:
        self.began, self.first = began, True

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        self.began.touch()

    @hookimpl
    def on_step(self, step: int) -> None:
        if self.first:
            self.first = False
            (self.began.parent / "first").write_text(str(step))

    @hookimpl
    def on_checkpoint(self, path: Path) -> None:
        with (self.began.parent / "announced").open("a") as file:
            file.write(f"{path}\n")


def events(began: Path) -> Events:
    torch.set_num_threads(1)
    return Events([MarkerListener(began)], installed=False)


def train_job(began: Path, root: Path, overrides: tuple[str, ...] = (), kill: str | None = None) -> None:
    """Train; `kill` names a point at which the process kills itself."""
    if kill is not None:
        KILLS[kill]()
    train(training(*overrides), root, events=events(began))


def sample_job(began: Path, root: Path, overrides: tuple[str, ...] = ()) -> None:
    """Draw the images of the first sampler."""
    experiment = training(*overrides)
    sample(experiment, _trained(experiment, root), experiment.sampling.samplers[0], root, events=events(began))


def evaluate_job(began: Path, root: Path, overrides: tuple[str, ...] = ()) -> None:
    """Compare finished samples with real images."""
    experiment = training(*overrides)
    checkpoint = _trained(experiment, root)
    told = events(began)
    samples: list[Samples] = [
        sample(experiment, checkpoint, sampler, root) for sampler in experiment.sampling.samplers
    ]
    evaluate(experiment, samples, root, events=told)


def prepare_job(began: Path, root: Path, overrides: tuple[str, ...] = ()) -> None:
    """Prepare the images, and keep how far it is every 20."""
    ingest._SAVE_EVERY = 20
    prepare(training(*overrides), root, events=events(began), cache=root / "cache")


def _trained(experiment: Experiment, root: Path) -> Checkpoint:
    checkpoint = find_finished_checkpoint(training_directory(experiment, root), experiment.training.steps)
    assert checkpoint is not None
    return checkpoint


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _after(calls: int, function: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    """Return a function that kills the process at its `calls`-th call, before or after it does its work."""
    left = [calls]

    def killing(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and before:
            _die()
        result = function(*arguments, **named)
        if left[0] == 0:
            _die()
        return result

    return killing


def _between_tensor_files() -> None:
    state.save_file = _after(11, state.save_file, before=False)


def _before_the_manifest() -> None:
    commit.write_manifest = _after(5, commit.write_manifest, before=True)


def _before_the_rename() -> None:
    Path.rename = _after(6, Path.rename, before=True)  # type: ignore[method-assign]


def _after_the_rename() -> None:
    Path.rename = _after(7, Path.rename, before=False)  # type: ignore[method-assign]


def _while_an_old_one_is_removed() -> None:
    def half(directory: Path, **_: Any) -> None:
        if directory.name.startswith("step-"):
            next(directory.glob("*.safetensors")).unlink()
            _die()
        remove(directory, **_)

    remove, shutil.rmtree = shutil.rmtree, half  # type: ignore[assignment]


KILLS: dict[str, Callable[[], None]] = {
    "between two files of tensors": _between_tensor_files,
    "before the manifest": _before_the_manifest,
    "before the rename": _before_the_rename,
    "after the rename": _after_the_rename,
    "while an old checkpoint is removed": _while_an_old_one_is_removed,
}


def forgetful_job(began: Path, root: Path, forgotten: str) -> None:
    """The control: train on without a part of the state."""
    restore = TrainingState.restore

    def forgetting(self: TrainingState, checkpoint: Checkpoint) -> None:
        network = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        averaged = None if self.ema is None else {name: tensor.clone() for name, tensor in self.ema.state().items()}
        restore(self, checkpoint)
        if forgotten == "optimizer":
            self.optimizer.state.clear()
        elif forgotten == "network":
            self.network.load_state_dict(network)
        elif forgotten == "averaged weights" and self.ema is not None and averaged is not None:
            self.ema.load(averaged)
        elif forgotten == "step":
            self.step -= 1

    TrainingState.restore = forgetting  # type: ignore[method-assign]
    train(training(), root, events=events(began))


def unverified_sample_job(began: Path, root: Path, overrides: tuple[str, ...] = ()) -> None:
    """The control: draw on without a look at the hashes of what is there."""
    resumable_array._is_intact = lambda line, images: True
    sample_job(began, root, overrides)


def unverified_evaluate_job(began: Path, root: Path, overrides: tuple[str, ...] = ()) -> None:
    """The control: compare features without a look at the hashes of those that are kept."""
    feature_cache.verify = lambda directory, kind: read_manifest(directory, kind)
    evaluate_job(began, root, overrides)


def in_place_prepare_job(began: Path, root: Path, overrides: tuple[str, ...] = ()) -> None:
    """The control: write the images where they belong, without a staging directory."""

    @contextmanager
    def in_place(target: Path, kind: str, about: dict[str, Any]) -> Iterator[Path]:
        target.mkdir(parents=True)
        yield target

    engine.resumable = in_place
    prepare_job(began, root, overrides)


def file_limited_job(began: Path, job: Job, largest: int, *arguments: Any) -> None:
    """Do a job under a limit on the size of files, in bytes."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    job(began, *arguments)


def overwrite_job(began: Path, saved: Path) -> None:
    """The control: save a large state over a small one."""
    torch.save({"w": torch.ones(100_000)}, saved)


def waiting_job(began: Path, job: Job, *arguments: Any) -> None:
    """Do a job when a file named `go` appears: somebody wants to watch."""
    while not began.with_name("go").exists():
        time.sleep(0.001)
    job(began, *arguments)


def job_without_fsync(began: Path, job: Job, *arguments: Any) -> None:
    """The control: flush nothing."""
    os.fsync = lambda handle: None
    job(began, *arguments)
