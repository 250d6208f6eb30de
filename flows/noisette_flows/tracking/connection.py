"""A run directory and the MLflow store that shows it."""

from __future__ import annotations

from pathlib import Path

from noisette_flows.tracking.runs import Runs, make_client
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.sync_state import SyncState

__all__ = ["MlflowRunDir"]


class MlflowRunDir:
    """Base of what sends a directory: it connects when it is first needed.

    Args:
        name: of the MLflow experiment.
        directory: the run directory.
        store: where it is shown.
    """

    def __init__(self, name: str, directory: Path, store: Store) -> None:
        self._name, self.directory, self.store = name, directory, store
        self._runs: Runs | None = None

    def connect(self) -> Runs:
        """Return the runs of the store, whose MLflow experiment is found or made."""
        if self._runs is None:
            runs = Runs(
                make_client(self.store), self.store, self.directory, SyncState.load(self.directory, self.store)
            )
            runs.check(self._name)
            self._runs = runs
        return self._runs
