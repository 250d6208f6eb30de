"""Stopping on request: finish the step, save, then let the signal do what it would have done."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["STOP_SIGNALS", "Stop", "graceful_stop"]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a training to stop: Ctrl-C, an orchestrator, a terminal that is closed."""


class Stop:
    """Whether a stop was asked for.

    Attributes:
        signal: number of the signal that asked, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def request(self, number: int, frame: FrameType | None) -> None:
        """Note a signal; the work goes on to the end of its step."""
        self.signal = number

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def graceful_stop() -> Iterator[Stop]:
    """Hold back SIGINT, SIGTERM and SIGHUP for the length of the block.

    A signal that came is delivered again behind the block, to the handlers that were there before: Python's
    KeyboardInterrupt, Prefect's cancellation, or the end of the process. One that is ignored, as Ctrl-C is by a job
    in the background, stays ignored. Outside the main thread, where signals never arrive, nothing is held back.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    asked = [n for n in STOP_SIGNALS if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop.request) for number in asked}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if stop.signal is not None:
            os.kill(os.getpid(), stop.signal)
