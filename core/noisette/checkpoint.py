"""Checkpoints of a run: directories of safetensors and JSON files, found and verified without torch.

The latest checkpoint is the newest valid one; damaged ones are skipped with a warning.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from noisette.errors import CheckpointError, StorageError
from noisette.storage import MANIFEST, Artifact, Manifest, read_manifest, verify

__all__ = [
    "Checkpoint",
    "Description",
    "checkpoint_path",
    "find_finished_checkpoint",
    "find_latest_checkpoint",
    "list_checkpoints",
    "prune_checkpoints",
]

log = logging.getLogger(__name__)

_NAME = re.compile(r"step-(\d{8,})")

Side = Annotated[int, Field(ge=1, le=2**16)]


class _ExperimentOptions(BaseModel, extra="allow"):
    """The options of the experiment that building its network requires."""

    timesteps: Annotated[int, Field(ge=1, le=100_000)]
    schedule: dict[str, Any]
    objective: dict[str, Any]
    backbone: dict[str, Any]
    training: dict[str, Any]


class _Origin(BaseModel, extra="allow"):
    """The origin of a plugin."""

    kind: str
    name: str
    distribution: str
    version: str


class Description(BaseModel, extra="allow"):
    """The required description of a checkpoint.

    Attributes:
        step: number of finished training steps.
        experiment: all options.
        shape: channels, height and width of its images.
        classes: names of their labels.
        data: digest of the prepared images.
        plugins: origins of its plugins.
    """

    step: NonNegativeInt
    experiment: _ExperimentOptions
    shape: tuple[Side, Side, Side]
    classes: list[str]
    data: str
    plugins: list[_Origin]


class Checkpoint(Artifact):
    """A checkpoint on disk.

    Attributes:
        directory: holds the safetensors files.
        manifest: its files with their hashes; `about` has step, experiment, shape, classes, plugins, versions.
    """

    kind = "checkpoint"

    @property
    def step(self) -> int:
        """The number of finished training steps."""
        return int(self.about["step"])

    @property
    def run(self) -> Path:
        """The run's directory, or its subdirectory of the best or an averaged checkpoint."""
        return self.directory.parent.parent

    @property
    def root(self) -> Path:
        """The folder of all results."""
        run = self.run.absolute()
        if run.parent.name == "averaged":
            run = run.parent.parent
        return run.parent.parent if run.name == "best" else run.parent

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open a checkpoint after verifying every hash.

        Raises:
            CheckpointError: naming the file that is missing or differs.
        """
        try:
            return cls(directory, _check_step(directory, verify(directory, "checkpoint")))
        except StorageError as error:
            raise CheckpointError(str(error)) from None

    def verified(self) -> Checkpoint:
        """Return it after verifying every hash and the description.

        Raises:
            CheckpointError: naming what is wrong.
        """
        checkpoint = Checkpoint.open(self.directory)
        checkpoint.described()
        return checkpoint

    def described(self) -> Description:
        """Return the description.

        Raises:
            CheckpointError: if a required value is missing or invalid.
        """
        try:
            return Description.model_validate(self.about)
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join(map(str, first["loc"]))
            raise CheckpointError(f"{self.directory / MANIFEST}: about.{path}: {first['msg']}") from None


def checkpoint_path(run: Path, step: int) -> Path:
    """Return the directory of the checkpoint after `step` steps."""
    return run / "checkpoints" / f"step-{step:08d}"


def find_latest_checkpoint(run: Path) -> Checkpoint | None:
    """Return the newest valid checkpoint, or None; log which newer ones are damaged."""
    for _, directory in _list_newest_first(run):
        try:
            return Checkpoint.open(directory)
        except CheckpointError as error:
            log.warning("damaged checkpoint skipped: %s", error)
    return None


def list_checkpoints(run: Path) -> Iterator[Checkpoint]:
    """Yield the checkpoints of a run, newest first, without verifying their hashes."""
    for _, directory in _list_newest_first(run):
        try:
            yield Checkpoint(directory, _check_step(directory, read_manifest(directory, "checkpoint")))
        except StorageError as error:
            log.debug("not a checkpoint: %s", error)


def find_finished_checkpoint(run: Path, steps: int) -> Checkpoint | None:
    """Return the last checkpoint of a finished training, or None; checks sizes only.

    A training is finished after `steps` steps, or when it ended early (`patience`, `max_seconds`).
    """
    last = Checkpoint.finished(checkpoint_path(run, steps))
    if last is not None:
        return last
    newest = next(filter(None, (Checkpoint.finished(found.directory) for found in list_checkpoints(run))), None)
    return newest if newest is not None and newest.about.get("ended") and newest.step <= steps else None


def prune_checkpoints(run: Path, keep: int, step: int) -> None:
    """Remove all but the newest `keep` checkpoints up to `step`; later ones are damaged and will be replaced."""
    for directory in [path for number, path in _list_newest_first(run) if number <= step][keep:]:
        shutil.rmtree(directory, ignore_errors=True)


def _check_step(directory: Path, manifest: Manifest) -> Manifest:
    """Return the manifest of a checkpoint after comparing its step with the directory's name."""
    if _step_of(directory) not in (None, manifest.about.get("step")):
        raise StorageError(f"{directory}: expected a checkpoint of this step; got {manifest.about.get('step')!r}")
    return manifest


def _step_of(directory: Path) -> int | None:
    found = _NAME.fullmatch(directory.name)
    return int(found[1]) if found else None


def _list_newest_first(run: Path) -> list[tuple[int, Path]]:
    """Return the steps and directories of a run's checkpoints."""
    found = [(_step_of(path), path) for path in (run / "checkpoints").glob("step-*")]
    return sorted(((step, path) for step, path in found if step is not None), reverse=True)
