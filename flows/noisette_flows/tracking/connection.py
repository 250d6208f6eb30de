"""The connection of a run directory to an MLflow store."""

from __future__ import annotations

from pathlib import Path

from noisette_flows.tracking.runs import Runs, make_client
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.sync_state import SyncState

__all__ = ["MlflowRunDir"]


class MlflowRunDir:
    """Base of the mirrors; connects at first use.

    Args:
        name: of the MLflow experiment.
        directory: the run directory.
        store: that shows it.
    """

    def __init__(self, name: str, directory: Path, store: Store) -> None:
        self._name, self.directory, self.store = name, directory, store
        self._runs: Runs | None = None

    def connect(self) -> Runs:
        """Return the runs in the store; the MLflow experiment is created if it does not exist."""
        if self._runs is None:
            runs = Runs(
                make_client(self.store), self.store, self.directory, SyncState.load(self.directory, self.store)
            )
            runs.check(self._name)
            self._runs = runs
        return self._runs
