"""The listener that starts the sender of a run directory to MLflow, a separate process.

Nothing here waits for a server before the end of a run, and there only for a limited time. Failures of a server do
not affect the run.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from noisette import Experiment, NoisetteError, Run, hookimpl
from noisette.config import FiguresConfig
from noisette.hooks import Status
from noisette_flows.tracking.provenance import collect_provenance
from noisette_flows.tracking.runs import PARENT, TRAIN
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.sync_state import SYNC_FILE, RunLock, find_killed, is_behind

__all__ = ["Tracker", "catch_up", "mark_killed"]

log = logging.getLogger(__name__)

_STATUSES: dict[Status, str] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
_PATIENCE = 30.0  # seconds that the end of a run waits for a server
_PATIENCE_WITH_ANOTHER = 5.0  # seconds that it waits for another flow of the same directory
_PATIENCE_WITH_PROGRESS = 300.0  # seconds that it waits for a slow one
_PATIENCE_WITH_FILES = 120.0  # for a store in files, on any machine
_LOG = "mlflow.log"


class Tracker:
    """Follows one flow run into one MLflow store.

    Args:
        experiment: of the run.
        directory: its run directory.
        store: that shows it.
        overrides: changes of its config.
        flow_run: id of the flow run; "" to send only what is missing.
    """

    def __init__(
        self,
        experiment: Experiment | FiguresConfig,
        directory: Path,
        store: Store,
        overrides: Mapping[str, Any],
        flow_run: str = "",
    ) -> None:
        self._directory, self._store, self._log = directory, store, directory / _LOG
        order = {"experiment": experiment.options(), "directory": str(directory.absolute()), "uri": store.uri}
        provenance = collect_provenance(flow_run) if flow_run else {}
        self._order = {**order, "overrides": dict(overrides), "provenance": provenance}
        self._statuses: dict[str, str] = {}
        self._run_lock = RunLock.take(directory)
        self._log.unlink(missing_ok=True)
        self._sender = None if self._run_lock is None else self._start(self._run_lock)

    def _start(self, run_lock: RunLock) -> subprocess.Popen[bytes]:
        with self._log.open("a", encoding="utf-8") as log_file:
            sender = subprocess.Popen(
                [sys.executable, "-P", "-m", "noisette_flows.tracking.sender"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                start_new_session=True,  # without Ctrl-C: it sends the rest after its parent has stopped
                pass_fds=(run_lock.handle,),
            )
        _send_message(sender, self._order)
        if self._statuses:
            _send_message(sender, {"statuses": self._statuses})
        return sender

    @classmethod
    @contextmanager
    def follow(
        cls,
        experiment: Experiment | FiguresConfig,
        directory: Path,
        uri: str | None,
        overrides: Mapping[str, Any],
        flow_run: str = "",
    ) -> Iterator[list[Tracker]]:
        """Yield the tracker of a flow run in a list, empty for the URI "off"; then set the run's status."""
        store = Store.of(uri)
        if store is None:
            yield []
            return
        directory.mkdir(parents=True, exist_ok=True)
        tracker = cls(experiment, directory, store, overrides, flow_run)
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
        """Set the status of the training."""
        if run.stage == "train":
            self._set_statuses({TRAIN: "RUNNING"})

    @hookimpl
    def on_run_end(self, run: Run, status: Status) -> None:
        """Set the final status of the training."""
        if run.stage == "train":
            self._set_statuses({TRAIN: _STATUSES[status]})

    def close(self, status: str) -> None:
        """Let the sender send the rest and set the run's status; wait for it for a limited time."""
        if self._run_lock is None and status == "FINISHED":
            self._run_lock = self._wait_for_lock()
        if self._run_lock is None:  # the holder of the lock sends the directory
            return
        try:
            if self._sender is None or self._sender.poll() is not None:  # killed: start it once more
                self._sender = self._start(self._run_lock)
            _send_message(self._sender, {"statuses": {PARENT: status}, "end": True})
            self._wait_for_sender(self._sender)
        finally:
            self._run_lock.release()

    def _wait_for_lock(self) -> RunLock | None:
        """Return the lock when another flow of the directory ends, or None."""
        deadline = time.monotonic() + _PATIENCE_WITH_ANOTHER
        while (run_lock := RunLock.take(self._directory)) is None and time.monotonic() < deadline:
            time.sleep(0.2)
        return run_lock

    def _wait_for_sender(self, sender: subprocess.Popen[bytes]) -> None:
        answer = self._read_answer(sender)
        for warning in answer.get("warnings", []):
            log.warning("%s", warning)
        if sender.returncode != 0:
            reason = answer.get("failure") or f"see {self._log}"
            advice = "" if answer.get("lasting") else ". Nothing is lost: `noisette run` sends the rest next time"
            log.warning("MLflow at %s is behind: %s%s", self._store.display_uri, reason, advice)

    def _read_answer(self, sender: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Return the answer of a sender; one without progress is killed."""
        patience = _PATIENCE if self._store.database is None else _PATIENCE_WITH_FILES
        deadline, progress = time.monotonic() + _PATIENCE_WITH_PROGRESS, self._last_progress()
        while True:
            try:
                return _parse_answer(sender.communicate(timeout=patience)[0])
            except subprocess.TimeoutExpired:
                before, progress = progress, self._last_progress()
                if progress == before or time.monotonic() > deadline:
                    break
        sender.kill()
        sender.communicate()
        return {"failure": f"no answer within {patience:.0f} seconds"}

    def _last_progress(self) -> float:
        """Return when the store last received something, or 0."""
        sync_state = self._directory / SYNC_FILE
        return sync_state.stat().st_mtime if sync_state.exists() else 0.0

    def _set_statuses(self, statuses: dict[str, str]) -> None:
        self._statuses |= statuses
        if self._sender is not None:
            _send_message(self._sender, {"statuses": statuses})


def _parse_answer(answer: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        parsed = json.loads(answer)
        return parsed if isinstance(parsed, dict) else {}
    return {}  # killed


def _send_message(sender: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):  # a dead sender is started again at the end
        if sender.stdin is not None:
            os.write(sender.stdin.fileno(), json.dumps(message, default=str).encode() + b"\n")


def mark_killed(root: Path, store: Store) -> None:
    """Mark runs that MLflow shows as running but whose processes were killed; no server is asked without any."""
    try:
        if next(find_killed(root, store), None) is None:
            return
    except NoisetteError as error:
        log.warning("%s", error)
        return
    order = json.dumps({"root": str(root.absolute()), "uri": store.uri})
    command = [sys.executable, "-P", "-m", "noisette_flows.tracking.runs"]
    with suppress(subprocess.TimeoutExpired):  # the next command tries again
        subprocess.run(command, input=order.encode(), capture_output=True, timeout=_PATIENCE, check=False)


def catch_up(
    experiment: Experiment | FiguresConfig, directory: Path, store: Store, overrides: Mapping[str, Any]
) -> None:
    """Send what a store lacks of a finished run directory; no server is asked if nothing is missing."""
    if is_behind(directory, store):
        with Tracker.follow(experiment, directory, store.uri, overrides):
            pass
