"""The pace of a stage: smoothed speed and loss, time left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from noisette import Run
from noisette_flows.display.numbers import compact, duration, rate

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
        self.step = step

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
        """The speed, or nothing before there is one, and when all is done that is counted."""
        return rate(self._speed, self.unit) if self._speed and not self._counted else ""

    @property
    def loss(self) -> str:
        """The smoothed loss, or nothing for a stage without one."""
        return "" if self._loss is None else f"loss {compact(self._loss, 3)}"

    @property
    def left(self) -> str:
        """The time left, or nothing while it cannot be told; how long metrics take behind the last image cannot."""
        if self._counted:
            return "computing metrics" if self.run.stage == "evaluate" else ""
        if not self._speed or not self.run.total:
            return ""
        return f"{duration(max(0, self.run.total - self.step) / self._speed)} left"

    @property
    def _counted(self) -> bool:
        return bool(self.run.total) and self.step >= self.run.total

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
