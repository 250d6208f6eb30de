"""Who sends a run directory, and runs that MLflow shows as running though their process was killed."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from noisette_flows.locks import is_original, sign
from noisette_flows.tracking.runs import client_of
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.sync_state import MEMORY, Memory

__all__ = ["Claim", "bury", "zombies"]

_FILE = ".mlflow.lock"


@dataclass(frozen=True)
class Claim:
    """A run directory that this process sends.

    Attributes:
        handle: of the open file; a child process that inherits it shares the claim.
    """

    handle: int

    @classmethod
    def take(cls, run: Path) -> Claim | None:
        """Claim a run directory; None if another flow or its sender has it, or the directory cannot be written."""
        claim = cls._lock(run, os.O_CREAT)
        if claim is None:
            return None
        try:
            sign(claim.handle)
        except OSError:  # a full disk
            os.close(claim.handle)
            return None
        return claim

    @classmethod
    def of_killed(cls, run: Path) -> Claim | None:
        """Claim a run directory whose flow and sender are gone; None if they are not, or if it is a copy."""
        claim = cls._lock(run)
        if claim is None or is_original(claim.handle):
            return claim
        claim.drop()
        return None

    @classmethod
    def _lock(cls, run: Path, create: int = 0) -> Claim | None:
        try:
            handle = os.open(run / _FILE, os.O_RDWR | create | os.O_CLOEXEC, 0o644)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return None
        return cls(handle)

    def drop(self) -> None:
        """Leave the directory to others, as soon as the children that inherited the claim have ended."""
        os.close(self.handle)


_PLACES = (f"*/{MEMORY}", f"*/best/{MEMORY}", f"*/averaged/*/{MEMORY}")


def zombies(root: Path, store: Store) -> Iterator[Path]:
    """Yield the run directories that a store shows as running, and nobody has claimed; asks no server."""
    for place in _PLACES:
        for file in sorted(root.glob(place)):
            if "RUNNING" in Memory.load(file.parent, store).statuses.values():
                claim = Claim.of_killed(file.parent)
                if claim is not None:
                    claim.drop()
                    yield file.parent


def bury(root: Path, store: Store) -> None:
    """Mark them as killed; one that goes on later goes on in the same MLflow run.

    Raises:
        MlflowException: or whatever else the client raises when its store does not answer.
    """
    for run in list(zombies(root, store)):
        claim = Claim.of_killed(run)
        if claim is None:
            continue
        try:
            _mark(run, store)
        finally:
            claim.drop()


def _mark(run: Path, store: Store) -> None:
    from mlflow.exceptions import MlflowException

    client, memory = client_of(store), Memory.load(run, store)
    for key, status in memory.statuses.items():
        if status != "RUNNING":
            continue
        try:
            client.set_terminated(memory.runs[key], "KILLED")
        except MlflowException as error:  # deleted by somebody, perhaps
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
        memory.statuses[key] = "KILLED"
    memory.save(run)


if __name__ == "__main__":
    order = json.load(sys.stdin)
    found = Store.of(order["uri"])
    if found is not None:
        bury(Path(order["root"]), found)
