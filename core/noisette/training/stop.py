"""Stopping on request: finish the step, save, then deliver the signal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["STOP_SIGNALS", "Stop", "graceful_stop"]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that stop a training: Ctrl-C, an orchestrator, a closed terminal."""


class Stop:
    """A request to stop.

    Attributes:
        signal: number of the last signal, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def requested(self) -> bool:
        """Whether this process received a signal."""
        return self.signal is not None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Record a signal; it interrupts nothing."""
        self.signal = number


@contextmanager
def graceful_stop() -> Iterator[Stop]:
    """Defer SIGINT, SIGTERM and SIGHUP to the end of the block.

    A signal received in the block is sent again after it, to the previous handlers: Python's KeyboardInterrupt,
    Prefect's cancellation, or the end of the process. An ignored signal, such as Ctrl-C in a background job, stays
    ignored. Outside the main thread, where signals never arrive, this does nothing.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    handled = [number for number in STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, stop.handle) for number in handled}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if stop.signal is not None:
            os.kill(os.getpid(), stop.signal)
