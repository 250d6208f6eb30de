"""What MLflow has of a run directory: `mlflow.json` in the directory, by the store's identity.

Without it a resumed run would create new MLflow runs, and every image would be sent again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from noisette import NoisetteError
from noisette.journal import JOURNAL
from noisette.storage import MANIFEST, digest
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.system_metrics import MACHINE

__all__ = ["SYNC_FILE", "SyncState", "experiment_of", "fingerprint", "finished_directories", "is_behind"]

SYNC_FILE = "mlflow.json"


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
        staging = run / f".{SYNC_FILE}-{os.getpid()}"
        staging.write_text(json.dumps(everything, indent=1), encoding="utf-8")
        staging.replace(run / SYNC_FILE)

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
