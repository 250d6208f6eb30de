"""A config without data as it appears in MLflow: one run with its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from noisette.config import Show
from noisette.storage import digest
from noisette_flows.tracking.connecting import Connecting
from noisette_flows.tracking.memory import by_age, fingerprint
from noisette_flows.tracking.runs import PARENT
from noisette_flows.tracking.scenes import send_pictures
from noisette_flows.tracking.store import Store

__all__ = ["ShowMirror"]


class ShowMirror(Connecting):
    """The directory of a show and one store.

    Args:
        show: what is made.
        directory: where its pictures lie.
        store: where they are shown.
    """

    def __init__(self, show: Show, directory: Path, store: Store) -> None:
        super().__init__(show.name, directory, store)
        self._show = show

    def sync(self, statuses: Mapping[str, str]) -> None:
        """Send what is missing, then set the status of "parent"; raises as `Mirror.sync`."""
        seen, runs, options = fingerprint(self.directory), self.connected(), self._show.options()
        labels = ", ".join(scene.label for scene in self._show.pictures)
        tags = {"noisette.config": digest(options), "noisette.directory": str(self.directory.resolve())}
        parent = runs.make(PARENT, labels, {"pictures": labels, "seed": self._show.seed}, tags)
        if runs.once(PARENT, "config"):
            runs.client.log_dict(parent, options, "config.yaml")
            runs.sent(PARENT, "config")
        for directory in by_age(self.directory / "pictures"):
            send_pictures(runs, directory)
        for key, status in statuses.items():
            runs.set_status(key, status)
        runs.memory.mirrored = seen
        runs.save()
