"""The pace of a stage: smoothed speed and loss, time left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from noisette.formatting import compact, duration, rate
from noisette.hooks import Run

__all__ = ["Pace"]

_HALF_LIFE = 10.0  # seconds after which an old speed counts half
_BUSY = 1.5  # processes that want a core, for each core: more are not all ours


class Pace:
    """How fast a stage goes. A resumed stage is timed from where it started this time.

    Args:
        run: the stage.
        clock: seconds that never go back.
    """

    def __init__(self, run: Run, clock: Callable[[], float] = time.monotonic) -> None:
        self.run = run
        self.unit = "steps" if run.stage == "train" else "pictures"
        self.title = f"{run.stage} {run.name}"
        self.step = 0
        self.activity = ""
        self._clock = clock
        self._began = self._last = clock()
        self._first: int | None = None
        self._speed: float | None = None
        self._loss: float | None = None

    def update(self, step: int) -> None:
        """Take in that `step` is done."""
        now = self._clock()
        if self._first is None:
            self._first, self._last = step, now
        elif now > self._last and step > self.step:
            current = (step - self.step) / (now - self._last)
            weight = 1.0 if self._speed is None else 1 - 0.5 ** ((now - self._last) / _HALF_LIFE)
            self._speed = current if self._speed is None else self._speed + weight * (current - self._speed)
            self._last = now
        self.step, self.activity = step, ""

    def begin(self, activity: str) -> None:
        """Take in what is done from now on that no step counts; until the next step no speed is claimed."""
        self.activity = activity

    def measure(self, metrics: Mapping[str, float]) -> None:
        """Take in what was measured; a loss counts for a third against the ones before."""
        if "loss" in metrics:
            before = metrics["loss"] if self._loss is None else self._loss
            self._loss = before + (metrics["loss"] - before) / 3

    @property
    def elapsed(self) -> float:
        """Seconds since the stage started this time."""
        return self._clock() - self._began

    @property
    def speed(self) -> str:
        """The speed, or nothing before there is one, and while nothing is counted."""
        return rate(self._speed, self.unit) if self._speed and not self._uncounted else ""

    @property
    def loss(self) -> str:
        """The smoothed loss, or nothing for a stage without one."""
        return "" if self._loss is None else f"loss {compact(self._loss, 3)}"

    @property
    def left(self) -> str:
        """The time left, or nothing while it cannot be told."""
        if not self._speed or not self.run.total or self._uncounted:
            return ""
        return f"{duration((self.run.total - self.step) / self._speed)} left"

    @property
    def _uncounted(self) -> bool:
        """Whether what goes on is no step: something else, or what follows the last one."""
        return bool(self.activity) or 0 < self.run.total <= self.step

    @property
    def busy(self) -> str:
        """Other work on this machine that slows the stage; nothing if there is little."""
        cores, load = os.cpu_count() or 1, os.getloadavg()[0]
        return f"machine busy (load {load:.0f} on {cores} core{'s' * (cores > 1)})" if load > _BUSY * cores else ""

    @property
    def done(self) -> str:
        """How much is done, in the stage's unit."""
        total = f"/{self.run.total}" if self.run.total else ""
        return f"{self.step}{total} {self.unit}"

    @property
    def facts(self) -> list[str]:
        """All that is known: how much is done, loss, speed, time left, activity, load."""
        facts = (self.done, self.loss, self.speed, self.left, self.activity, self.busy)
        return [fact for fact in facts if fact]
