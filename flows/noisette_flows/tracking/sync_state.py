"""What of a run directory is in MLflow already: `mlflow.json` beside the journal, by the store's identity.

Without it a resumed run would make new MLflow runs, and a replay would send every image again.
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
        store: identity of the store; empty if there is none yet.
        experiment: id of the MLflow experiment.
        runs: ids of MLflow runs: "parent", "train", and each directory of samples.
        statuses: the status that each of them was given last.
        token: tells the runs of this directory from those of all others.
        begun: those that the store was asked to make; it may have made one whose id never came back.
        lines: lines of the journal that were sent.
        machine: measurements of the machine that were sent.
        sent: images, tables and reports that were sent, each as "run: what".
        mirrored: the `fingerprint` of the run directory when all of it had been sent.
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
        """Return the memory of a store; empty if there is none, or if the store itself is gone.

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
        """Write the memory, whole or not at all."""
        everything = {**_read(run), self.store: self.model_dump(mode="json")}
        staging = run / f".{SYNC_FILE}-{os.getpid()}"
        staging.write_text(json.dumps(everything, indent=1), encoding="utf-8")
        staging.replace(run / SYNC_FILE)

    def forget(self, key: str) -> None:
        """Forget one MLflow run, which is then made again."""
        self.runs.pop(key, None)
        self.statuses.pop(key, None)
        self.sent = [sent for sent in self.sent if not sent.startswith(f"{key}: ")]
        if key == "train":
            self.lines = self.machine = 0


def fingerprint(run: Path) -> str:
    """Return a hash of what there is to send; it looks at names and sizes only."""
    written = [run / name for name in (JOURNAL, MACHINE)]
    found = [
        *run.glob(f"samples/[!.]*/{MANIFEST}"),
        *run.glob(f"evaluations/[!.]*/{MANIFEST}"),
        *run.glob(f"sweeps/[!.]*/{MANIFEST}"),
        *run.glob(f"images/[!.]*/{MANIFEST}"),
        *run.glob("grids/*.png"),
    ]
    names = sorted(path.relative_to(run).as_posix() for path in found)
    return digest([path.stat().st_size if path.exists() else 0 for path in written], names)


def is_behind(run: Path, store: Store) -> bool:
    """Return whether the store lacks something of this run directory; instant, asks no server."""
    try:
        return not store.ready or SyncState.load(run, store).mirrored != fingerprint(run)
    except NoisetteError:  # whoever sends will tell of it
        return True


def experiment_of(run: Path, store: Store) -> str:
    """Return the id of the MLflow experiment that shows a run directory; empty while it is not known."""
    try:
        return SyncState.load(run, store).experiment
    except NoisetteError:
        return ""


def finished_directories(directory: Path) -> list[Path]:
    """Return the finished directories inside a directory, oldest first; those with a dot are being written."""
    manifests = sorted(directory.glob(f"[!.]*/{MANIFEST}"), key=lambda manifest: manifest.stat().st_mtime)
    return [manifest.parent for manifest in manifests]


def _read(run: Path) -> dict[str, object]:
    try:
        stored = json.loads((run / SYNC_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}
