"""Prefect's runner, but one that lets its flow runs save their state when it is told to end.

Prefect's own kills them at once, and leaves them in the state "Running".
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from typing import Any

from prefect.runner import Runner

__all__ = ["GracefulRunner"]

_GRACE = 60.0  # seconds that flow runs have to save their state


class GracefulRunner(Runner):
    """Hands SIGTERM on to its flow runs, and ends when they have ended."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._serving: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None

    async def serve(self) -> None:
        """Run what is asked for until a signal comes."""
        task = asyncio.ensure_future(self.start())
        self._serving = asyncio.get_running_loop(), task
        with suppress(asyncio.CancelledError):
            await task

    def handle_sigterm(self, *args: Any, **kwargs: Any) -> None:
        """Stop the flow runs, then this runner."""
        handles = map(self._process_manager.get, self._process_manager.flow_run_ids())
        pids = [handle.pid for handle in handles if handle is not None and handle.pid is not None]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while any(_works(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.1)
        if self._serving is not None:
            loop, task = self._serving
            loop.call_soon_threadsafe(task.cancel)


def _works(pid: int) -> bool:
    """Return whether a child process has not ended; whoever waits for it still learns how it ended."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False
