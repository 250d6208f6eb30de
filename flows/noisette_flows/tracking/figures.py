"""Figures in MLflow: on the page of the experiment, or a run of their own for a config without data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from noisette.config import Show
from noisette.figures.result import Shown
from noisette.storage import digest
from noisette_flows.tracking import names
from noisette_flows.tracking.connection import Connecting
from noisette_flows.tracking.reports import open_picture
from noisette_flows.tracking.runs import PARENT, Runs
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.sync_state import by_age, fingerprint

__all__ = ["ShowMirror", "send_pictures"]


def send_pictures(runs: Runs, directory: Path) -> None:
    """Send finished pictures of the process, if they were not sent yet."""
    shown, what = Shown.finished(directory), f"pictures {directory.name}"
    if shown is None or not runs.once(PARENT, what):
        return
    parent = runs.memory.runs[PARENT]
    stills = [path for path in shown.files if path.suffix == ".png"]
    for path in stills:
        key = names.metric_key(f"pictures/{path.stem}")
        if runs.once(PARENT, f"{what} {path.name}"):
            runs.client.log_image(parent, open_picture(path), key=key, step=0)
            runs.sent(PARENT, f"{what} {path.name}")
    for name in shown.manifest.files:
        runs.client.log_artifact(parent, str(directory / name), f"pictures/{directory.name}")
    runs.sent(PARENT, what)


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
