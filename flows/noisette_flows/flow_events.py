"""The listeners of a flow run: the command's progress, MLflow, artifacts, and listeners of packages.

A flow's parameters are plain values, so that it can be started from anywhere; listeners are passed by context.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from uuid import UUID

from noisette import Events, Experiment
from noisette.config import FiguresConfig
from noisette.layout import run_directory
from noisette_flows.artifacts import ArtifactSender, ProgressArtifacts
from noisette_flows.gpus import GpuLock
from noisette_flows.liveness import end_with_parent, hold_liveness_lock, mark_killed_flow_runs, stop_when_suspended
from noisette_flows.tasks import wait_task
from noisette_flows.tracking import Tracker

__all__ = ["FlowEvents", "observe_flow_run", "use_listeners"]

_LISTENERS: ContextVar[tuple[object, ...]] = ContextVar("listeners", default=())


@contextmanager
def use_listeners(*listeners: object) -> Iterator[None]:
    """Let these listeners follow the flows that start in the block."""
    token = _LISTENERS.set(listeners)
    try:
        yield
    finally:
        _LISTENERS.reset(token)


class FlowEvents(Events):
    """The events of one flow run.

    Args:
        listeners: of the events.
        artifact_sender: sends artifacts to Prefect's pages.
    """

    def __init__(self, listeners: Sequence[object], artifact_sender: ArtifactSender) -> None:
        super().__init__(listeners)
        self.artifact_sender = artifact_sender
        self._gpu_lock: GpuLock | None = None

    def hold_gpus(self, count: int = 1) -> None:
        """Wait until GPUs of this machine are free, and hold them to the end of this flow run.

        Only flow runs that Prefect started wait: a command is started by a person who knows what else is running.
        """
        from prefect.runtime import flow_run

        if "PREFECT__FLOW_RUN_ID" not in os.environ or self._gpu_lock is not None:
            return
        self._gpu_lock = GpuLock(count, f"{flow_run.name} (flow run {flow_run.id})")
        if not self._gpu_lock.take():
            wait_task(self._gpu_lock, " and ".join(self._gpu_lock.holders()) or "another flow run")

    def release_gpus(self) -> None:
        """Release the GPUs."""
        if self._gpu_lock is not None:
            self._gpu_lock.release()


@contextmanager
def observe_flow_run(
    experiment: Experiment | FiguresConfig,
    root: Path,
    tracking_uri: str | None,
    overrides: Mapping[str, Any],
    run: Path | None = None,
) -> Iterator[FlowEvents]:
    """Yield the events of one flow run in a run directory; at the end set its status in MLflow.

    Killed flow runs in the folder are marked first.
    """
    from prefect.runtime import flow_run

    directory, identity = run or run_directory(experiment, root), str(flow_run.id)
    end_with_parent()
    mark_killed_flow_runs(root, own=identity)
    artifact_sender = ArtifactSender(UUID(identity))
    try:
        with (
            stop_when_suspended(UUID(identity)),
            hold_liveness_lock(directory, identity),
            Tracker.follow(experiment, directory, tracking_uri, overrides, identity) as trackers,
        ):
            events = FlowEvents(
                [*trackers, ProgressArtifacts(artifact_sender), *(_LISTENERS.get() or [_log_listener()])],
                artifact_sender,
            )
            try:
                yield events
            finally:
                events.release_gpus()
    finally:
        artifact_sender.close()


def _log_listener() -> object:
    """Return the listener of a flow without others: lines in Prefect's log."""
    from prefect import get_run_logger

    from noisette.progress import LineProgress

    logger = get_run_logger()
    return LineProgress(lambda line: logger.info("%s", line))
