"""The process of a flow run: killed ones are found at the next start, orphaned and suspended ones stop.

Prefect would show the flow run of a killed process as running for ever. So each flow run has a file `.flow-ID` in
its run directory, locked as long as its process lives. A file without a lock shows that a flow run was killed or
stopped. (For machines that never start again, Prefect's heartbeats do the same; see
`noisette_flows.deploying.automations`.)

A flow run that a worker or `noisette serve` started stops, with a checkpoint, when its parent is killed.

A flow run that is suspended in Prefect's page stops, with a checkpoint, and stays suspended. Prefect only changes
the state on the server. So a thread reads the state at intervals, and stops the flow run as SIGTERM does: training
saves its state. When it is resumed, Prefect starts the flow run again, and training resumes.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from noisette_flows.locks import is_original, lock_or_close, sign

if TYPE_CHECKING:
    from prefect import Flow, State
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

__all__ = [
    "PARENT",
    "end_with_parent",
    "find_killed_flow_runs",
    "hold_liveness_lock",
    "mark_killed_flow_runs",
    "stop_when_suspended",
]

PARENT = "NOISETTE_PARENT"
"""Environment variable with the id of the process that started a flow run, which may end early."""

_FILE = ".flow-"
_LOCKS: dict[str, tuple[Path, int]] = {}
"""Files and locks of this process's flow runs whose end Prefect does not know."""

_MESSAGE = "Its process was killed. When it is started again, it resumes from its last checkpoint."


@contextmanager
def hold_liveness_lock(run: Path, flow_run: str) -> Iterator[None]:
    """Hold the lock of a flow run until Prefect knows its final state.

    The file remains if a signal stops the block, or if the server could not be told: the next start asks Prefect.
    """
    run.mkdir(parents=True, exist_ok=True)
    path, staging = run / f"{_FILE}{flow_run}", run / f".starting-{flow_run}"
    handle = os.open(staging, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # before the rename: it is never visible unlocked
        sign(handle)
        staging.replace(path)
        _LOCKS[flow_run] = path, handle
        _register_end_hooks()
        yield
    except Exception:
        raise
    except BaseException:  # a signal
        _LOCKS.pop(flow_run, None)
        os.close(handle)
        raise


def _register_end_hooks() -> None:
    """Let Prefect call `_on_flow_run_end` when it has accepted the final state of the current flow run."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is not None and context.flow is not None:
        for hooks in (context.flow.on_completion_hooks, context.flow.on_failure_hooks):
            if _on_flow_run_end not in hooks:
                hooks.append(_on_flow_run_end)


def _on_flow_run_end(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    lock = _LOCKS.pop(str(flow_run.id), None)
    if lock is not None:
        path, handle = lock
        path.unlink(missing_ok=True)
        os.close(handle)


def find_killed_flow_runs(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the flow runs in a folder of results whose processes are gone, with their files."""
    for path in sorted(root.glob(f"*/{_FILE}*")):
        if _is_abandoned(path):
            yield path.name.removeprefix(_FILE), path


def mark_killed_flow_runs(root: Path, *, again: bool = False, own: str = "") -> list[str]:
    """Tell Prefect which flow runs were killed; return their names.

    Args:
        root: folder of all results.
        again: whether to run those of a deployment again, which resumes them.
        own: id of the current flow run: tasks of its earlier attempts are marked.
    """
    killed = list(find_killed_flow_runs(root))
    if not killed:
        return []
    from prefect.client.orchestration import get_client

    names = []
    with get_client(sync_client=True) as client:
        for flow_run, path in killed:
            with suppress(ValueError):
                if flow_run == own:
                    _end_task_runs(client, UUID(own))
                elif name := _mark_flow_run(client, UUID(flow_run), again):
                    names.append(name)
            path.unlink(missing_ok=True)
    return names


def end_with_parent() -> None:
    """Send SIGTERM to this process when the worker that started it is gone; do nothing without a worker."""
    if "PREFECT__FLOW_RUN_ID" in os.environ:
        parent = int(os.environ.pop(PARENT, os.getppid()))  # children have this process as parent
        threading.Thread(target=_watch_parent, args=(parent,), name="parent", daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _is_abandoned(path: Path) -> bool:
    """Return whether a file is unlocked and not a copy of a file elsewhere."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False  # another start has just handled it
    if not lock_or_close(handle):
        return False
    try:
        return is_original(handle)
    finally:
        os.close(handle)


def _mark_flow_run(client: SyncPrefectClient, identity: UUID, again: bool) -> str | None:
    """Mark a flow run without a final state; return its name, or None if there is nothing to do."""
    from prefect.exceptions import ObjectNotFound
    from prefect.states import AwaitingRetry, Cancelled, Crashed

    try:
        flow_run = client.read_flow_run(identity)
    except ObjectNotFound:
        return None
    state = flow_run.state
    if state is None or state.is_completed() or state.is_failed() or state.is_cancelled():
        return None
    _end_task_runs(client, identity)
    if state.is_cancelling():
        client.set_flow_run_state(identity, Cancelled(), force=True)
        return None
    if state.is_scheduled() or state.is_paused():  # it is run again
        return None
    if again and flow_run.deployment_id is not None:
        client.set_flow_run_state(identity, AwaitingRetry(message=_MESSAGE), force=True)
    elif not state.is_crashed():
        client.set_flow_run_state(identity, Crashed(message=_MESSAGE), force=True)
    return flow_run.name


def _end_task_runs(client: SyncPrefectClient, flow_run: UUID) -> None:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.states import Crashed

    tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])))
    for task in tasks:
        if task.state is not None and not task.state.is_final():
            client.set_task_run_state(task.id, Crashed(message=_MESSAGE), force=True)


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
