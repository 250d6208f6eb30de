"""Prefect's runner, but one that lets its flow runs save their state when it is told to end.

Prefect's own kills them at once, and leaves them in the state "Running". It also stops looking for flow runs that
are to be cancelled once its server has been away for about 40 seconds, and never begins again; this one goes on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect.runner import Runner

__all__ = ["GracefulRunner"]

log = logging.getLogger(__name__)

_GRACE = 60.0  # seconds that flow runs have to save their state
_EVERY = 10.0  # seconds between two looks for flow runs that are to be cancelled


class GracefulRunner(Runner):
    """Hands SIGTERM on to its flow runs and ends when they have ended; cancels after outages of the server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._serving: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None

    async def serve(self) -> None:
        """Run what is asked for until a signal comes."""
        task = asyncio.ensure_future(self.start())
        self._serving = asyncio.get_running_loop(), task
        looking = asyncio.ensure_future(self._look_for_cancelling())
        try:
            with suppress(asyncio.CancelledError):
                await task
        finally:
            looking.cancel()

    async def _look_for_cancelling(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            for identity in self._process_manager.flow_run_ids():
                await self._cancel_if_asked(identity)

    async def _cancel_if_asked(self, identity: UUID) -> None:
        """Cancel a flow run that the server has as Cancelling, unless Prefect is at it already."""
        try:
            flow_run = await self._client.read_flow_run(identity)
            if flow_run.state is not None and flow_run.state.is_cancelling():
                await self._cancel_run(flow_run)
        except Exception:
            log.debug("cannot ask whether %s is to be cancelled", identity, exc_info=True)

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
