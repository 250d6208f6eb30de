"""The process that sends a run directory to MLflow while the run goes on in another.

A process, not a thread: MLflow's own work (its import, making its tables, packing pictures) holds Python's
interpreter lock for seconds, one that hangs can be ended, and what it prints stays out of the way. It looks at the
directory every two seconds, reads one JSON object a line from its parent, and ends with it:

    {"experiment": ..., "directory": ..., "uri": ..., "overrides": ...}     first
    {"statuses": {"train": "RUNNING"}}                                      whenever one changes
    {"statuses": {"parent": "FINISHED"}, "end": true}                       last; without it the run was killed
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from textwrap import shorten
from typing import Any

from noisette import Experiment
from noisette_flows.tracking.memory import fingerprint
from noisette_flows.tracking.mirror import Mirror
from noisette_flows.tracking.runs import PARENT
from noisette_flows.tracking.store import Store

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
        """Yield what has come, after waiting for it at most so long; sets `gone` at the end of the pipe."""
        if not select.select([self._pipe], [], [], seconds)[0]:
            return
        block = os.read(self._pipe, 1 << 20)
        self.gone = not block
        *lines, self._rest = (self._rest + block).split(b"\n")
        yield from map(json.loads, lines)


class _Sender:
    """Keeps one store up to date.

    Attributes:
        statuses: what the parent has said of its runs.
        failure: why the last attempt failed, or nothing.
    """

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._seen = ""
        self._next = 0.0
        self.statuses = {PARENT: "RUNNING"}
        self.failure = ""

    def send(self, *, at_once: bool) -> None:
        """Send what is new; after a failure not before some time has passed, except at once."""
        seen = fingerprint(self._mirror.directory) + str(sorted(self.statuses.items()))
        if not at_once and (seen == self._seen or time.monotonic() < self._next):
            return
        try:
            self._mirror.sync(self.statuses)
            self._seen, self.failure = seen, ""
        except Exception as error:  # of many libraries; MLflow is a view, and is tried again
            hide = self._mirror.store.hide
            print(hide(traceback.format_exc()), file=sys.stderr)
            self.failure = shorten(
                hide(str(error).partition("\n")[0]) or type(error).__name__, _LONGEST, placeholder=" ..."
            )
            self._next = time.monotonic() + _PAUSE_AFTER_FAILURE


def main() -> int:
    """Serve one parent; print why MLflow is behind, and return 1, if it is."""
    os.nice(10)
    parent = _Parent(sys.stdin.fileno())
    sender, ended = None, False
    while not (ended or parent.gone):
        for message in parent.messages(_PAUSE):
            if sender is None:
                sender = _Sender(_mirror(message))
                continue
            sender.statuses |= message["statuses"]
            ended = message.get("end", False)
        if sender is not None and not ended:
            sender.send(at_once=False)
    if sender is None:
        return 1
    if not ended:  # the parent was killed
        sender.statuses |= {key: "KILLED" for key, value in sender.statuses.items() if value == "RUNNING"}
    sender.send(at_once=True)
    print(sender.failure)
    return 1 if sender.failure else 0


def _mirror(order: dict[str, Any]) -> Mirror:
    store = Store.of(order["uri"])
    if store is None:
        raise ValueError("expected the URI of a store")
    return Mirror(Experiment.parse(order["experiment"]), Path(order["directory"]), store, order["overrides"])


if __name__ == "__main__":
    sys.exit(main())
