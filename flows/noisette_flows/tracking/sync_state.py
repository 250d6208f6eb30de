"""What MLflow has of a run directory: `mlflow.json` in the directory, by the store's identity; and who sends it.

Without it a resumed run would create new MLflow runs, and every image would be sent again. The process that sends a
run directory holds the lock of `.mlflow.lock` in it. A run that MLflow shows as running without such a process was
killed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from noisette import NoisetteError
from noisette.journal import JOURNAL
from noisette.storage import MANIFEST, atomic_write, digest
from noisette_flows.locks import is_original, lock_or_close, sign
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.system_metrics import MACHINE

__all__ = [
    "SYNC_FILE",
    "RunLock",
    "SyncState",
    "experiment_of",
    "find_killed",
    "fingerprint",
    "finished_directories",
    "is_behind",
]

SYNC_FILE = "mlflow.json"
_LOCK_FILE = ".mlflow.lock"


class SyncState(BaseModel):
    """What one store has of a run directory.

    Attributes:
        store: identity of the store; "" if there is none yet.
        experiment: id of the MLflow experiment.
        runs: ids of MLflow runs: "parent", "train", and each directory of samples.
        statuses: the last status of each run.
        token: unique to the runs of this directory.
        begun: runs whose creation was requested; the answer with the id may be lost.
        lines: lines of the journal that were sent.
        machine: system metrics that were sent.
        sent: images, tables and reports that were sent, each as "run: item".
        mirrored: `fingerprint` of the run directory when all of it was sent.
    """

    store: str = Field("", exclude=True)
    experiment: str = ""
    runs: dict[str, str] = {}
    statuses: dict[str, str] = {}
    token: str = ""
    begun: list[str] = []
    lines: int = 0
    machine: int = 0
    sent: list[str] = []
    mirrored: str = ""

    @classmethod
    def load(cls, run: Path, store: Store) -> SyncState:
        """Return the state for a store; empty if there is none, or if the store is gone.

        Raises:
            UnusableDatabaseError: if the store is a file that cannot be read.
        """
        identity = store.identity
        stored = _read(run).get(identity)
        try:
            sync_state = cls() if stored is None else cls.model_validate(stored)
        except ValidationError:
            sync_state = cls()
        sync_state.store = identity
        return sync_state

    def save(self, run: Path) -> None:
        """Write the state atomically."""
        everything = {**_read(run), self.store: self.model_dump(mode="json")}
        with atomic_write(run / SYNC_FILE) as temporary:
            temporary.write_text(json.dumps(everything, indent=1), encoding="utf-8")

    def forget(self, key: str) -> None:
        """Forget one MLflow run, which is then created again."""
        self.runs.pop(key, None)
        self.statuses.pop(key, None)
        self.sent = [item for item in self.sent if not item.startswith(f"{key}: ")]
        if key == "train":
            self.lines = self.machine = 0


def fingerprint(run: Path) -> str:
    """Return a hash of what there is to send, by names and sizes."""
    written = [run / name for name in (JOURNAL, MACHINE)]
    files = [
        *run.glob(f"samples/[!.]*/{MANIFEST}"),
        *run.glob(f"evaluations/[!.]*/{MANIFEST}"),
        *run.glob(f"sweeps/[!.]*/{MANIFEST}"),
        *run.glob(f"figures/[!.]*/{MANIFEST}"),
        *run.glob("grids/*.png"),
    ]
    names = sorted(path.relative_to(run).as_posix() for path in files)
    return digest([path.stat().st_size if path.exists() else 0 for path in written], names)


def is_behind(run: Path, store: Store) -> bool:
    """Return whether the store lacks something of this run directory, without asking a server."""
    try:
        return not store.ready or SyncState.load(run, store).mirrored != fingerprint(run)
    except NoisetteError:  # raised again when it is sent
        return True


def experiment_of(run: Path, store: Store) -> str:
    """Return the id of the MLflow experiment of a run directory; "" if it is not known yet."""
    try:
        return SyncState.load(run, store).experiment
    except NoisetteError:
        return ""


def finished_directories(directory: Path) -> list[Path]:
    """Return the finished directories in a directory, oldest first; names with a dot are unfinished."""
    manifests = sorted(directory.glob(f"[!.]*/{MANIFEST}"), key=lambda manifest: manifest.stat().st_mtime)
    return [manifest.parent for manifest in manifests]


def _read(run: Path) -> dict[str, object]:
    try:
        stored = json.loads((run / SYNC_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


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
            handle = os.open(run / _LOCK_FILE, os.O_RDWR | create | os.O_CLOEXEC, 0o644)
        except OSError:
            return None
        return cls(handle) if lock_or_close(handle) else None

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
