"""A run directory and the MLflow store that shows it."""

from __future__ import annotations

from pathlib import Path

from noisette_flows.tracking.runs import Runs, client_of
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.sync_state import Memory

__all__ = ["Connecting"]


class Connecting:
    """Base of what sends a directory: it connects when it is first needed.

    Args:
        name: of the MLflow experiment.
        directory: the run directory.
        store: where it is shown.
    """

    def __init__(self, name: str, directory: Path, store: Store) -> None:
        self._name, self.directory, self.store = name, directory, store
        self._runs: Runs | None = None

    def connected(self) -> Runs:
        """Return the runs of the store, whose MLflow experiment is found or made."""
        if self._runs is None:
            runs = Runs(client_of(self.store), self.store, self.directory, Memory.load(self.directory, self.store))
            runs.check(self._name)
            self._runs = runs
        return self._runs
