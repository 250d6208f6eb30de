"""The process that sends a run directory to MLflow during a run.

A process, not a thread: MLflow (its import, its migrations, its compression of images) holds Python's interpreter
lock for seconds, a process that hangs can be killed, and its output is kept apart. It looks at the directory every
two seconds, reads one JSON object a line from its parent, and ends with it:

    {"experiment": ..., "directory": ..., "uri": ..., "overrides": ...}     first
    {"statuses": {"train": "RUNNING"}}                                      whenever one changes
    {"statuses": {"parent": "FINISHED"}, "end": true}                       last; without it the run was killed

It inherits its parent's lock of the directory. Other runs that were killed together with their senders are marked
first. The output of libraries goes to `mlflow.log`, without passwords.
"""

from __future__ import annotations

import json
import logging
import os
import select
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from textwrap import shorten
from typing import Any, TextIO

from noisette import NoisetteError
from noisette.config import Experiment, parse
from noisette_flows.tracking.mirror import FigureMirror, Mirror
from noisette_flows.tracking.runs import PARENT, TRAIN, mark_killed_runs
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.sync_state import fingerprint
from noisette_flows.tracking.system_metrics import SystemMetrics

__all__ = ["main"]

_PAUSE = 2.0  # seconds between two looks
_PAUSE_AFTER_FAILURE = 20.0
_LONGEST = 120  # characters of a reason


class _Parent:
    """The messages of the parent process, from a pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._rest = pipe, b""
        self.gone = False

    def messages(self, seconds: float) -> Iterator[dict[str, Any]]:
        """Yield the messages that arrive within some seconds; sets `gone` at the end of the pipe."""
        if not select.select([self._pipe], [], [], seconds)[0]:
            return
        block = os.read(self._pipe, 1 << 20)
        self.gone = not block
        *lines, self._rest = (self._rest + block).split(b"\n")
        yield from map(json.loads, lines)


class _Sender:
    """Keeps one store up to date.

    Attributes:
        statuses: of the runs, from the parent.
        failure: why the last attempt failed, or "".
        lasting: whether the next attempt fails too, until a person acts.
        warnings: for the user.
    """

    def __init__(self, mirror: Mirror | FigureMirror) -> None:
        import mlflow  # noqa: F401  # before the thread of the system metrics imports parts of it

        self._mirror = mirror
        self._system_metrics = SystemMetrics(mirror.directory)
        self._sent_state = ""
        self._retry_at = 0.0
        self._killed_marked = False
        self.statuses = {PARENT: "RUNNING"}
        self.failure, self.lasting = "", False
        self.warnings: list[str] = []
        logging.getLogger("noisette_flows").addHandler(_Collector(self.warnings))

    def update_statuses(self, statuses: dict[str, str]) -> None:
        """Take the statuses of the runs from the parent."""
        self.statuses |= statuses
        self._system_metrics.set_training(self.statuses.get(TRAIN) == "RUNNING")

    def finish(self) -> dict[str, Any]:
        """Send the rest; return the answer to the parent."""
        self._system_metrics.end()
        self.send(at_once=True)
        return {"failure": self.failure, "lasting": self.lasting, "warnings": self.warnings}

    def send(self, *, at_once: bool) -> None:
        """Send what is new; after a failure wait for some time, unless `at_once`."""
        state = fingerprint(self._mirror.directory) + str(sorted(self.statuses.items()))
        if not at_once and (state == self._sent_state or time.monotonic() < self._retry_at):
            return
        try:
            if not self._killed_marked:
                mark_killed_runs(self._mirror.directory.parent, self._mirror.store)
                self._killed_marked = True
            self._mirror.sync(self.statuses)
            self._sent_state, self.failure = state, ""
        except Exception as error:  # of many libraries; it is tried again
            traceback.print_exc()
            self.lasting = isinstance(error, NoisetteError)
            reason = self._mirror.store.redact(str(error).partition("\n")[0]) or type(error).__name__
            self.failure = reason if self.lasting else shorten(reason, _LONGEST, placeholder=" ...")
            self._retry_at = time.monotonic() + _PAUSE_AFTER_FAILURE


class _Collector(logging.Handler):
    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(record.getMessage())


class _RedactedStream:
    """A stream without the passwords of a store."""

    def __init__(self, stream: TextIO, store: Store) -> None:
        self._stream, self._store = stream, store

    def write(self, text: str) -> int:
        return self._stream.write(self._store.redact(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def main() -> int:
    """Serve one parent; print the answer as JSON, and return 1 if MLflow is behind."""
    os.nice(10)
    parent = _Parent(sys.stdin.fileno())
    sender, ended = None, False
    while not (ended or parent.gone):
        for message in parent.messages(_PAUSE):
            if sender is None:
                sender = _Sender(_mirror(message))
                continue
            sender.update_statuses(message["statuses"])
            ended = message.get("end", False)
        if sender is not None and not ended:
            sender.send(at_once=False)
    if sender is None:
        return 1
    if not ended:  # the parent was killed
        sender.update_statuses({key: "KILLED" for key, value in sender.statuses.items() if value == "RUNNING"})
    answer = sender.finish()
    print(json.dumps(answer))
    return 1 if answer["failure"] else 0


def _mirror(order: dict[str, Any]) -> Mirror | FigureMirror:
    store = Store.of(order["uri"])
    if store is None:
        raise ValueError("expected the URI of a store")
    sys.stderr = _RedactedStream(sys.stderr, store)  # before MLflow's log is made
    config, directory = parse(order["experiment"]), Path(order["directory"])
    if isinstance(config, Experiment):
        return Mirror(config, directory, store, order["overrides"], _without_passwords(order, store))
    return FigureMirror(config, directory, store)


def _without_passwords(order: dict[str, Any], store: Store) -> dict[str, str]:
    return {name: store.redact(value) for name, value in order.get("provenance", {}).items()}


if __name__ == "__main__":
    sys.exit(main())
