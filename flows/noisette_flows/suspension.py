"""A flow run that is suspended in Prefect's page stops, with a checkpoint, and stays suspended.

Prefect only changes the state on the server. So a thread reads the state at intervals, and stops the flow run as
SIGTERM does: training saves its state. When it is resumed, Prefect starts the flow run again, and training resumes.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

__all__ = ["stop_when_suspended"]

_EVERY = 10.0  # seconds between two readings


@contextmanager
def stop_when_suspended(flow_run: UUID) -> Iterator[None]:
    """Stop the block when the flow run is suspended; do nothing without a worker.

    Raises:
        Pause: in place of the signal that stopped the block; Prefect's engine then keeps the state.
    """
    if "PREFECT__FLOW_RUN_ID" not in os.environ:
        yield
        return
    from prefect.exceptions import Pause, TerminationSignal

    watcher = _SuspensionWatcher(flow_run)
    try:
        yield
    except TerminationSignal:
        if watcher.suspended is None:
            raise
        _repeat_suspended_event(flow_run)
        raise Pause(state=watcher.suspended) from None
    finally:
        watcher.end()


class _SuspensionWatcher:
    def __init__(self, flow_run: UUID) -> None:
        self.suspended: State[Any] | None = None
        self._flow_run, self._ended = flow_run, threading.Event()
        threading.Thread(target=self._poll, name="suspension", daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def _poll(self) -> None:
        while not self._ended.wait(_EVERY):
            state = _read_state(self._flow_run)
            if state is not None and state.is_paused() and state.state_details.pause_reschedule:
                self.suspended = state
                os.kill(os.getpid(), signal.SIGTERM)
                return


def _read_state(flow_run: UUID) -> State[Any] | None:
    """Return the state of a flow run on the server, or None if it does not answer."""
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            return client.read_flow_run(flow_run).state
    except Exception:  # Prefect's client raises whatever its libraries raise
        return None


def _repeat_suspended_event(flow_run: UUID) -> None:
    """Repeat the event of the suspension, which the automation expects after the last heartbeat."""
    from prefect.events import emit_event
    from prefect.events.related import tags_as_related_resources

    from noisette_flows.deploying.automations import TAG

    emit_event(
        "prefect.flow-run.Suspended",
        resource={"prefect.resource.id": f"prefect.flow-run.{flow_run}"},
        related=list(tags_as_related_resources([TAG])),
    )
