"""The training runs in a results directory: their state, differences and removal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from noisette.checkpoint import Checkpoint, list_checkpoints
from noisette.comparison.names import describe_differences
from noisette.config import Experiment
from noisette.errors import ConfigError, OwnedError, StorageError
from noisette.storage import disk_errors, is_locked

__all__ = ["TrainedRun", "remove_run", "trained_runs"]

State = Literal["finished", "training", "stopped"]


@dataclass(frozen=True)
class TrainedRun:
    """A run directory.

    Attributes:
        directory: its path.
        experiment: name of its experiment; that of the directory without a checkpoint.
        state: "finished", "training" while a process works in it, or "stopped".
        step, steps: finished and configured training steps.
        differs: options in which it differs from other runs of the same name; "" for none.
        bytes: size of all its files.
        changed: local time of its newest checkpoint (ISO 8601); "" without one.
    """

    directory: Path
    experiment: str
    state: State
    step: int
    steps: int
    differs: str
    bytes: int
    changed: str

    def json(self) -> dict[str, Any]:
        """Return the attributes as JSON values."""
        return {**asdict(self), "directory": str(self.directory)}


def trained_runs(root: Path | str = "runs") -> list[TrainedRun]:
    """Return the runs in a results directory, sorted by experiment and time; reads manifests only.

    Raises:
        StorageError: if there is no such directory.
    """
    root = Path(root)
    if not root.is_dir():
        raise StorageError(f"{root}: expected a results directory; got no such directory")
    newest = {run: next(list_checkpoints(run), None) for run in sorted(root.glob("[!.]*")) if _is_run(run)}
    runs = [_describe(run, checkpoint) for run, checkpoint in newest.items()]
    runs.sort(key=lambda run: (run.experiment, run.changed))
    groups = (list(group) for _, group in groupby(runs, key=lambda run: run.experiment))
    return [run for group in groups for run in _with_differences(group, newest)]


def remove_run(directory: Path) -> None:
    """Remove a run directory with its checkpoints, images and reports.

    Raises:
        OwnedError: if a process works in it.
        StorageError: if it is not a run, or cannot be removed.
    """
    if not _is_run(directory):
        raise StorageError(f"{directory}: expected a run directory; got one without checkpoints")
    if _is_busy(directory):
        raise OwnedError(f"{directory}: a process is working in it; wait for it or end it")
    renamed = directory.with_name(f".removed-{directory.name}-{os.getpid()}")
    with disk_errors(directory):
        directory.rename(renamed)
        shutil.rmtree(renamed)


def _is_run(directory: Path) -> bool:
    return (directory / "checkpoints").is_dir() or (directory / ".owner").is_file()


def _is_busy(run: Path) -> bool:
    return any(is_locked(path) for path in run.rglob(".*") if path.is_file())


def _describe(run: Path, checkpoint: Checkpoint | None) -> TrainedRun:
    about = {} if checkpoint is None else checkpoint.about
    step, steps = int(about.get("step", 0)), int(about["experiment"]["training"]["steps"]) if about else 0
    is_finished = checkpoint is not None and (step >= steps or bool(about.get("ended")))
    size = sum(path.lstat().st_size for path in run.rglob("*") if path.is_file())
    return TrainedRun(
        directory=run,
        experiment=about["experiment"].get("name", run.name) if about else run.name,
        state="finished" if is_finished else "training" if _is_busy(run) else "stopped",
        step=step,
        steps=steps,
        differs="",
        bytes=size,
        changed="" if checkpoint is None else _time(checkpoint.directory),
    )


def _time(directory: Path) -> str:
    return datetime.fromtimestamp(directory.stat().st_mtime).isoformat(sep=" ", timespec="minutes")


def _with_differences(runs: Sequence[TrainedRun], newest: dict[Path, Checkpoint | None]) -> Iterator[TrainedRun]:
    """Yield the runs of one name with their differences, as far as their plugins are installed."""
    trained = {}
    for run in runs:
        checkpoint = newest[run.directory]
        try:
            if checkpoint is not None:
                trained[run.directory] = _parse_experiment(checkpoint), checkpoint.about["plugins"]
        except ConfigError:
            continue
    texts = dict(zip(trained, describe_differences(list(trained.values())), strict=True))
    yield from (replace(run, differs=texts.get(run.directory, "")) for run in runs)


def _parse_experiment(checkpoint: Checkpoint) -> Experiment:
    return Experiment.parse(checkpoint.about["experiment"], str(checkpoint.directory))
