"""Progress of the stages in lines, for a log, a pipe or a notebook; and who listens to an engine by default."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping

from noisette.events import Events
from noisette.formatting import duration
from noisette.hooks import Run, Status, hookimpl
from noisette.pace import Pace

__all__ = ["ENDS", "LineProgress", "default_events"]

log = logging.getLogger(__name__)

ENDS: dict[Status, str] = {"finished": "done", "stopped": "stopped, state saved", "failed": "failed"}
"""What is said of a stage that ended."""


class LineProgress:
    """Writes a line when a stage starts and ends, and one every few seconds between.

    Args:
        write: takes one line.
        every: seconds between two lines.
    """

    def __init__(self, write: Callable[[str], None], every: float = 15.0) -> None:
        self._write = write
        self._every = every
        self._pace: Pace | None = None
        self._written = 0.0
        self._was_active = False

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Say that a stage starts."""
        self._pace, self._written, self._was_active = Pace(run), time.monotonic(), False
        self._write(f"{self._pace.title}: started")

    @hookimpl
    def on_step(self, step: int) -> None:
        """Write a line if the last one is old enough."""
        if self._pace is None:
            return
        self._pace.update(step)
        if time.monotonic() - self._written >= self._every:
            self._write_facts(self._pace)

    @hookimpl
    def on_activity(self, activity: str) -> None:
        """Write a line for the first activity of a stage, which may last, and if the last line is old enough."""
        if self._pace is None:
            return
        self._pace.begin(activity)
        if not self._was_active or time.monotonic() - self._written >= self._every:
            self._was_active = True
            self._write_facts(self._pace)

    def _write_facts(self, pace: Pace) -> None:
        self._written = time.monotonic()
        self._write(f"{pace.title}: {', '.join(pace.facts)}")

    @hookimpl
    def on_metrics(self, metrics: Mapping[str, float]) -> None:
        """Note the loss."""
        if self._pace is not None:
            self._pace.measure(metrics)

    @hookimpl
    def on_run_end(self, status: Status) -> None:
        """Say how a stage ended."""
        if self._pace is not None:
            took = duration(self._pace.elapsed)
            self._write(f"{self._pace.title}: {ENDS[status]}, {self._pace.done} in {took}")


def default_events() -> Events:
    """Return the events of an engine that was given none: installed listeners, and progress in lines.

    The lines go to the logger ``noisette.progress`` at level INFO. Where that level is off, because nobody has
    configured logging, and a person is watching (a terminal or a notebook), they go to standard error. Events of
    one's own, such as an empty `Events()`, show no progress.
    """
    return Events([LineProgress(_show)])


def _show(line: str) -> None:
    if log.isEnabledFor(logging.INFO) or not _is_watched():
        log.info("%s", line)
    elif logging.getLogger("noisette").level == logging.NOTSET:
        print(line, file=sys.stderr, flush=True)


def _is_watched() -> bool:
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())
