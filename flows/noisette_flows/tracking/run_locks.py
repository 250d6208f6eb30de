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
from noisette_flows.tracking.runs import make_client
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.sync_state import SYNC_FILE, SyncState

__all__ = ["RunLock", "find_killed", "mark_killed_runs"]

_FILE = ".mlflow.lock"


@dataclass(frozen=True)
class RunLock:
    """A run directory that this process sends.

    Attributes:
        handle: of the open file; a child process that inherits it shares the claim.
    """

    handle: int

    @classmethod
    def take(cls, run: Path) -> RunLock | None:
        """Claim a run directory; None if another flow or its sender has it, or the directory cannot be written."""
        run_lock = cls._lock(run, os.O_CREAT)
        if run_lock is None:
            return None
        try:
            sign(run_lock.handle)
        except OSError:  # a full disk
            os.close(run_lock.handle)
            return None
        return run_lock

    @classmethod
    def take_killed(cls, run: Path) -> RunLock | None:
        """Claim a run directory whose flow and sender are gone; None if they are not, or if it is a copy."""
        run_lock = cls._lock(run)
        if run_lock is None or is_original(run_lock.handle):
            return run_lock
        run_lock.release()
        return None

    @classmethod
    def _lock(cls, run: Path, create: int = 0) -> RunLock | None:
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

    def release(self) -> None:
        """Leave the directory to others, as soon as the children that inherited the claim have ended."""
        os.close(self.handle)


_PLACES = (f"*/{SYNC_FILE}", f"*/best/{SYNC_FILE}", f"*/averaged/*/{SYNC_FILE}")


def find_killed(root: Path, store: Store) -> Iterator[Path]:
    """Yield the run directories that a store shows as running, and nobody has claimed; asks no server."""
    for place in _PLACES:
        for file in sorted(root.glob(place)):
            if "RUNNING" in SyncState.load(file.parent, store).statuses.values():
                run_lock = RunLock.take_killed(file.parent)
                if run_lock is not None:
                    run_lock.release()
                    yield file.parent


def mark_killed_runs(root: Path, store: Store) -> None:
    """Mark them as killed; one that goes on later goes on in the same MLflow run.

    Raises:
        MlflowException: or whatever else the client raises when its store does not answer.
    """
    for run in list(find_killed(root, store)):
        run_lock = RunLock.take_killed(run)
        if run_lock is None:
            continue
        try:
            _mark_run(run, store)
        finally:
            run_lock.release()


def _mark_run(run: Path, store: Store) -> None:
    from mlflow.exceptions import MlflowException

    client, sync_state = make_client(store), SyncState.load(run, store)
    for key, status in sync_state.statuses.items():
        if status != "RUNNING":
            continue
        try:
            client.set_terminated(sync_state.runs[key], "KILLED")
        except MlflowException as error:  # deleted by somebody, perhaps
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
        sync_state.statuses[key] = "KILLED"
    sync_state.save(run)


if __name__ == "__main__":
    order = json.load(sys.stdin)
    found = Store.of(order["uri"])
    if found is not None:
        mark_killed_runs(Path(order["root"]), found)
