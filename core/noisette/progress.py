"""Progress of the stages as lines, for a log, a pipe or a notebook; and the default listeners."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping

from noisette.events import Events
from noisette.formatting import format_duration, format_number, format_rate
from noisette.hooks import Run, Status, hookimpl

__all__ = ["STATUS_TEXTS", "LineProgress", "StageProgress", "default_events"]

log = logging.getLogger(__name__)

STATUS_TEXTS: dict[Status, str] = {"finished": "done", "stopped": "stopped", "failed": "failed"}
"""Texts for the statuses."""


class LineProgress:
    """Writes a line when a stage starts and ends, and one every few seconds in between.

    Args:
        write: called with each line.
        every: seconds between lines.
    """

    def __init__(self, write: Callable[[str], None], every: float = 15.0) -> None:
        self._write = write
        self._every = every
        self._progress: StageProgress | None = None
        self._written = 0.0
        self._was_active = False

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Write that a stage starts."""
        self._progress, self._written, self._was_active = StageProgress(run), time.monotonic(), False
        self._write(f"{self._progress.title}: started")

    @hookimpl
    def on_step(self, step: int) -> None:
        """Write a line if the last one is old enough."""
        if self._progress is None:
            return
        self._progress.update(step)
        if time.monotonic() - self._written >= self._every:
            self._write_facts(self._progress)

    @hookimpl
    def on_activity(self, activity: str) -> None:
        """Write a line for the first activity of a stage, or if the last line is old enough."""
        if self._progress is None:
            return
        self._progress.begin(activity)
        if not self._was_active or time.monotonic() - self._written >= self._every:
            self._was_active = True
            self._write_facts(self._progress)

    def _write_facts(self, progress: StageProgress) -> None:
        self._written = time.monotonic()
        self._write(f"{progress.title}: {', '.join(progress.facts)}")

    @hookimpl
    def on_metrics(self, metrics: Mapping[str, float]) -> None:
        """Update the loss."""
        if self._progress is not None:
            self._progress.measure(metrics)

    @hookimpl
    def on_run_end(self, status: Status) -> None:
        """Write how a stage ended."""
        if self._progress is not None:
            duration = format_duration(self._progress.elapsed)
            self._write(f"{self._progress.title}: {STATUS_TEXTS[status]}, {self._progress.done} in {duration}")


def default_events() -> Events:
    """Return the default events of an engine: installed listeners, and progress as lines.

    The lines go to the logger ``noisette.progress`` at level INFO. If logging is not configured, they go to
    standard error in a terminal or a notebook. Pass `Events()` to an engine to show no progress.
    """
    return Events([LineProgress(_write_line)])


def _write_line(line: str) -> None:
    if log.isEnabledFor(logging.INFO) or not _is_interactive():
        log.info("%s", line)
    elif logging.getLogger("noisette").level == logging.NOTSET:
        print(line, file=sys.stderr, flush=True)


def _is_interactive() -> bool:
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


_HALF_LIFE = 10.0  # seconds after which the weight of a speed halves
_BUSY_LOAD = 1.5  # load per core above which other programs use the machine


class StageProgress:
    """The progress of a stage. A resumed stage is timed from its last start.

    Args:
        run: the stage.
        clock: a monotonic clock in seconds.
    """

    def __init__(self, run: Run, clock: Callable[[], float] = time.monotonic) -> None:
        self.run = run
        self.unit = "steps" if run.stage == "train" else "images"
        self.title = f"{run.stage} {run.name}"
        self.step = 0
        self.activity = ""
        self._clock = clock
        self._start_time = self._last_time = clock()
        self._first_step: int | None = None
        self._speed: float | None = None
        self._loss: float | None = None

    def update(self, step: int) -> None:
        """Update the last finished step."""
        now = self._clock()
        if self._first_step is None:
            self._first_step, self._last_time = step, now
        elif now > self._last_time and step > self.step:
            current = (step - self.step) / (now - self._last_time)
            weight = 1.0 if self._speed is None else 1 - 0.5 ** ((now - self._last_time) / _HALF_LIFE)
            self._speed = current if self._speed is None else self._speed + weight * (current - self._speed)
            self._last_time = now
        self.step, self.activity = step, ""

    def begin(self, activity: str) -> None:
        """Set the current activity; the speed is unknown until the next step."""
        self.activity = activity

    def measure(self, metrics: Mapping[str, float]) -> None:
        """Update the loss, an average in which a new value has weight 1/3."""
        if "loss" in metrics:
            before = metrics["loss"] if self._loss is None else self._loss
            self._loss = before + (metrics["loss"] - before) / 3

    @property
    def elapsed(self) -> float:
        """Seconds since the stage started."""
        return self._clock() - self._start_time

    @property
    def speed(self) -> str:
        """The speed; empty if it is unknown."""
        return format_rate(self._speed, self.unit) if self._speed and not self._is_uncounted else ""

    @property
    def loss(self) -> str:
        """The average loss; empty for a stage without one."""
        return "" if self._loss is None else f"loss {format_number(self._loss, 3)}"

    @property
    def time_left(self) -> str:
        """The remaining time; empty if it is unknown."""
        if not self._speed or not self.run.total or self._is_uncounted:
            return ""
        return f"{format_duration((self.run.total - self.step) / self._speed)} left"

    @property
    def _is_uncounted(self) -> bool:
        """Whether the stage is in an activity that steps do not count, or behind the last step."""
        return bool(self.activity) or 0 < self.run.total <= self.step

    @property
    def load_note(self) -> str:
        """A note on the load of the machine; empty if it is low."""
        cores, load = os.cpu_count() or 1, os.getloadavg()[0]
        return (
            f"machine busy (load {load:.0f} on {cores} core{'s' * (cores > 1)})"
            if load > _BUSY_LOAD * cores
            else ""
        )

    @property
    def done(self) -> str:
        """The number of finished steps or images."""
        total = f"/{self.run.total}" if self.run.total else ""
        return f"{self.step}{total} {self.unit}"

    @property
    def facts(self) -> list[str]:
        """Done, loss, speed, time left, activity and load, where known."""
        facts = (self.done, self.loss, self.speed, self.time_left, self.activity, self.load_note)
        return [fact for fact in facts if fact]
