"""Figures in MLflow: logged to the run of an experiment, or to a separate run for a config without data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from noisette.config import FiguresConfig
from noisette.figures.result import FigureResult
from noisette.storage import digest
from noisette_flows.tracking import names
from noisette_flows.tracking.connection import MlflowRunDir
from noisette_flows.tracking.reports import read_image
from noisette_flows.tracking.runs import PARENT, Runs
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.sync_state import fingerprint, finished_directories

__all__ = ["FigureMirror", "send_figures"]


def send_figures(runs: Runs, directory: Path) -> None:
    """Send a finished figure if it was not sent yet."""
    figure, item = FigureResult.finished(directory), f"figures {directory.name}"
    if figure is None or not runs.is_unsent(PARENT, item):
        return
    parent = runs.sync_state.runs[PARENT]
    for path in [path for path in figure.files if path.suffix == ".png"]:
        key = names.metric_key(f"figures/{path.stem}")
        if runs.is_unsent(PARENT, f"{item} {path.name}"):
            runs.client.log_image(parent, read_image(path), key=key, step=0)
            runs.mark_sent(PARENT, f"{item} {path.name}")
    for name in figure.manifest.files:
        runs.client.log_artifact(parent, str(directory / name), f"figures/{directory.name}")
    runs.mark_sent(PARENT, item)


class FigureMirror(MlflowRunDir):
    """A directory of figures without an experiment, and one store.

    Args:
        config: of the figures.
        directory: of the figures.
        store: that shows them.
    """

    def __init__(self, config: FiguresConfig, directory: Path, store: Store) -> None:
        super().__init__(config.name, directory, store)
        self._config = config

    def sync(self, statuses: Mapping[str, str]) -> None:
        """Send what is missing, then set the status of "parent"; raises as `Mirror.sync`."""
        current, runs, options = fingerprint(self.directory), self.connect(), self._config.options()
        labels = ", ".join(figure.label for figure in self._config.figures)
        tags = {"noisette.config": digest(options), "noisette.directory": str(self.directory.resolve())}
        parent = runs.get_or_create(PARENT, labels, {"figures": labels, "seed": self._config.seed}, tags)
        if runs.is_unsent(PARENT, "config"):
            runs.client.log_dict(parent, options, "config.yaml")
            runs.mark_sent(PARENT, "config")
        for directory in finished_directories(self.directory / "figures"):
            send_figures(runs, directory)
        for key, status in statuses.items():
            runs.set_status(key, status)
        runs.sync_state.mirrored = current
        runs.save()
