"""Flow runs whose process was killed: found at the next start, marked, and gone on with.

A process that is killed cannot say so, and Prefect would show its flow run as running for ever. So each flow run
keeps a file in its run directory, `.flow-ID`, locked as long as its process lives. One that is there and not locked
belongs to a flow run that was killed or stopped. (Prefect's heartbeats tell the same of machines that never start
again; see `noisette_flows.deploying.automations`.)

A flow run that a worker or `noisette serve` started stops, with a checkpoint, when that is killed.
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

from noisette_flows.locks import is_original, sign

if TYPE_CHECKING:
    from prefect import Flow, State
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

__all__ = ["PARENT", "end_with_parent", "find_killed_flow_runs", "hold_liveness_lock", "mark_killed_flow_runs"]

PARENT = "NOISETTE_PARENT"
"""Environment variable with the process that started a flow run, which may be gone before the flow run looks."""

_FILE = ".flow-"
_LOCKS: dict[str, tuple[Path, int]] = {}
"""Files of flow runs of this process whose end Prefect does not know, with their locks."""

_MESSAGE = "Its process was killed. Started again, it goes on from its last checkpoint."


@contextmanager
def hold_liveness_lock(run: Path, flow_run: str) -> Iterator[None]:
    """Show, until Prefect knows how the flow run ended, that its process is alive.

    The file stays behind a block that was stopped by a signal, and behind a server that could not be told of the
    end: whoever starts next asks Prefect.
    """
    run.mkdir(parents=True, exist_ok=True)
    path, staging = run / f"{_FILE}{flow_run}", run / f".starting-{flow_run}"
    handle = os.open(staging, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # before it has its name: nobody sees it unlocked
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
    """Have Prefect call `_on_flow_run_end` when it has taken the final state of the flow run at work."""
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
    """Yield the flow runs in a folder of results whose process is gone, with their files."""
    for path in sorted(root.glob(f"*/{_FILE}*")):
        if _is_abandoned(path):
            yield path.name.removeprefix(_FILE), path


def mark_killed_flow_runs(root: Path, *, again: bool = False, own: str = "") -> list[str]:
    """Tell Prefect which flow runs were killed; return their names.

    Args:
        root: folder of all results.
        again: whether those of a deployment are to be run again, which goes on where they stopped.
        own: the flow run that asks: of its earlier tries, the tasks are ended.
    """
    found = list(find_killed_flow_runs(root))
    if not found:
        return []
    from prefect.client.orchestration import get_client

    names = []
    with get_client(sync_client=True) as client:
        for flow_run, path in found:
            with suppress(ValueError):
                if flow_run == own:
                    _end_task_runs(client, UUID(own))
                elif name := _mark_flow_run(client, UUID(flow_run), again):
                    names.append(name)
            path.unlink(missing_ok=True)
    return names


def end_with_parent() -> None:
    """Stop this process, as SIGTERM does, when the worker that started it is gone; without a worker do nothing."""
    if "PREFECT__FLOW_RUN_ID" in os.environ:
        parent = int(os.environ.pop(PARENT, os.getppid()))  # what this process starts has it for a parent
        threading.Thread(target=_watch_parent, args=(parent,), name="parent", daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _is_abandoned(path: Path) -> bool:
    """Return whether a file is free, and no copy of one that is locked elsewhere."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False  # another start has just dealt with it
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return is_original(handle)
    except OSError:
        return False
    finally:
        os.close(handle)


def _mark_flow_run(client: SyncPrefectClient, identity: UUID, again: bool) -> str | None:
    """Mark a flow run that is not ended; return its name, or None if there is nothing to do."""
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
    if state.is_scheduled() or state.is_paused():  # somebody has asked for it again, or will
        return None
    if again and flow_run.deployment_id is not None:
        client.set_flow_run_state(identity, AwaitingRetry(message=_MESSAGE), force=True)
    elif not state.is_crashed():
        client.set_flow_run_state(identity, Crashed(message=_MESSAGE), force=True)
    return flow_run.name


def _end_task_runs(client: SyncPrefectClient, flow_run: UUID) -> None:
    """Mark what the killed process was at."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.states import Crashed

    tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])))
    for task in tasks:
        if task.state is not None and not task.state.is_final():
            client.set_task_run_state(task.id, Crashed(message=_MESSAGE), force=True)
