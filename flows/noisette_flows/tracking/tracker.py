"""The listener that has a run directory sent to MLflow, by a process of its own.

Nothing here waits for a server before the end of a run, and there not for ever. What a server does, or does not,
costs the run nothing.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from noisette import Experiment, Run, hookimpl
from noisette.config import Show
from noisette.hooks import Status
from noisette_flows.tracking.memory import behind
from noisette_flows.tracking.runs import PARENT, TRAIN
from noisette_flows.tracking.store import Store

__all__ = ["Tracker", "catch_up"]

log = logging.getLogger(__name__)

_STATUSES: dict[Status, str] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
_PATIENCE = 30.0  # seconds that the end of a run waits for a server
_PATIENCE_WITH_FILES = 120.0  # a store in files does its work, however slow the machine
_LOG = "mlflow.log"


class Tracker:
    """Follows one flow run into one MLflow store.

    Args:
        experiment: what is run.
        directory: its run directory.
        store: where it is shown.
        overrides: how its config was changed.
    """

    def __init__(
        self, experiment: Experiment | Show, directory: Path, store: Store, overrides: Mapping[str, Any]
    ) -> None:
        self._store, self._log = store, directory / _LOG
        with self._log.open("w", encoding="utf-8") as log_file:
            self._sender = subprocess.Popen(
                [sys.executable, "-P", "-m", "noisette_flows.tracking.sender"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                start_new_session=True,  # Ctrl-C is not for it: it sends the rest when its parent has stopped
            )
        order = {"experiment": experiment.options(), "directory": str(directory.absolute()), "uri": store.uri}
        self._tell({**order, "overrides": dict(overrides)})

    @classmethod
    @contextmanager
    def following(
        cls, experiment: Experiment | Show, directory: Path, uri: str | None, overrides: Mapping[str, Any]
    ) -> Iterator[list[Tracker]]:
        """Give the tracker of a flow run in a list, empty for the URI "off"; then tell how the run ended."""
        store = Store.of(uri)
        if store is None:
            yield []
            return
        directory.mkdir(parents=True, exist_ok=True)
        tracker = cls(experiment, directory, store, overrides)
        status = "KILLED"
        try:
            yield [tracker]
            status = "FINISHED"
        except Exception:
            status = "FAILED"
            raise
        finally:
            tracker.close(status)

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Show that training goes on."""
        if run.stage == "train":
            self._tell({"statuses": {TRAIN: "RUNNING"}})

    @hookimpl
    def on_run_end(self, run: Run, status: Status) -> None:
        """Show how training ended."""
        if run.stage == "train":
            self._tell({"statuses": {TRAIN: _STATUSES[status]}})

    def close(self, status: str) -> None:
        """Have the rest sent and the run's status set; wait for it, but not for ever."""
        self._tell({"statuses": {PARENT: status}, "end": True})
        patience = _PATIENCE if self._store.database is None else _PATIENCE_WITH_FILES
        try:
            answer, _ = self._sender.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            self._sender.kill()
            self._sender.communicate()
            answer = f"no answer within {patience:.0f} seconds".encode()
        if self._sender.returncode != 0:
            reason = answer.decode(errors="replace").strip() or f"see {self._log}"
            log.warning(
                "MLflow at %s is behind: %s. Nothing is lost: `noisette run` sends the rest next time",
                self._store.shown,
                reason,
            )

    def _tell(self, message: dict[str, Any]) -> None:
        pipe = self._sender.stdin
        with suppress(BrokenPipeError):  # a sender that died is reported at the end
            if pipe is not None:
                os.write(pipe.fileno(), json.dumps(message, default=str).encode() + b"\n")


def catch_up(experiment: Experiment | Show, directory: Path, store: Store, overrides: Mapping[str, Any]) -> None:
    """Send what a store lacks of a finished run directory; without anything to send it asks no server."""
    if behind(directory, store):
        with Tracker.following(experiment, directory, store.uri, overrides):
            pass
