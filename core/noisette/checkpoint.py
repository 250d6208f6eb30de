"""Checkpoints of a run: directories of safetensors and JSON, found and verified without torch.

The latest checkpoint is the newest one whose hashes hold; damaged ones are passed over and named.
"""

from __future__ import annotations

import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisette.errors import CheckpointError, StorageError
from noisette.storage import Manifest, is_complete, read_manifest, verify

__all__ = ["Checkpoint", "checkpoint_path", "finished", "latest", "prune"]

log = logging.getLogger(__name__)

_NAME = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk.

    Attributes:
        directory: where it is.
        manifest: its files with their hashes; `about` has step, experiment, shape, classes, plugins, versions.
    """

    directory: Path
    manifest: Manifest

    @property
    def step(self) -> int:
        """The number of training steps done."""
        return int(self.about["step"])

    @property
    def about(self) -> dict[str, Any]:
        """What it is: JSON values."""
        return self.manifest.about

    @property
    def digest(self) -> str:
        """The identity of its content."""
        return self.manifest.digest()

    @classmethod
    def open(cls, directory: Path) -> Checkpoint:
        """Open a checkpoint after verifying every hash.

        Raises:
            CheckpointError: naming the file that is missing or differs.
        """
        try:
            return cls(directory, verify(directory, "checkpoint"))
        except StorageError as error:
            raise CheckpointError(str(error)) from None


def checkpoint_path(run: Path, step: int) -> Path:
    """Return the directory of the checkpoint after `step` steps."""
    return run / "checkpoints" / f"step-{step:08d}"


def latest(run: Path) -> Checkpoint | None:
    """Return the newest checkpoint whose hashes hold, or None; says which newer ones are damaged."""
    for directory in _newest_first(run):
        try:
            return Checkpoint.open(directory)
        except CheckpointError as error:
            log.warning("damaged checkpoint passed over: %s", error)
    return None


def finished(run: Path, steps: int) -> Checkpoint | None:
    """Return the checkpoint of a finished training, or None; looks at sizes only, so that it is instant."""
    directory = checkpoint_path(run, steps)
    if not is_complete(directory, "checkpoint"):
        return None
    return Checkpoint(directory, read_manifest(directory, "checkpoint"))


def prune(run: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints."""
    for directory in _newest_first(run)[keep:]:
        shutil.rmtree(directory, ignore_errors=True)


def _newest_first(run: Path) -> list[Path]:
    found = [path for path in (run / "checkpoints").glob("step-*") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")), reverse=True)
