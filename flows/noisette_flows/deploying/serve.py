"""`noisette serve`: the deployments and the process that runs them, for a workstation."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.runner import Runner

from noisette import Experiment, NoisetteError
from noisette_flows.deploying.automations import HEARTBEAT, TAG, install_automation
from noisette_flows.gpus import COUNT
from noisette_flows.liveness import PARENT, mark_killed_flow_runs
from noisette_flows.params import config_file
from noisette_flows.server import check_server

if TYPE_CHECKING:
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.deployments.runner import RunnerDeployment

__all__ = [
    "DEPLOYED",
    "LOCAL",
    "POOL",
    "GracefulRunner",
    "ScheduleError",
    "ServeError",
    "cron_schedule",
    "deployments",
    "serve",
]

DEPLOYED = ("train-and-eval", "compare-samplers", "evaluate")
"""Names of the deployed flows."""

LOCAL = "local"
"""The deployments of `noisette serve`."""

POOL = "pool"
"""The deployments of prefect.yaml, which workers run."""


class ScheduleError(NoisetteError):
    """An invalid cron expression."""


def deployments(schedule: CronSchedule | None = None, config: str | None = None) -> list[RunnerDeployment]:
    """Return the deployments of `noisette serve`.

    Args:
        schedule: when to start train-and-eval automatically.
        config: the config to train then.
    """
    from prefect.types.entrypoint import EntrypointType

    from noisette_flows import pipeline

    flows = {flow.name: flow for flow in vars(pipeline).values() if getattr(flow, "name", None) in DEPLOYED}
    schedule_options: dict[str, Any] = (
        {"schedule": schedule, "parameters": {"config": config}} if schedule is not None else {}
    )
    return [
        flows[name].to_deployment(
            LOCAL,
            tags=[TAG],
            entrypoint_type=EntrypointType.MODULE_PATH,
            description=_description(name),
            **(schedule_options if name == DEPLOYED[0] else {}),
        )
        for name in DEPLOYED
    ]


def cron_schedule(cron: str) -> CronSchedule:
    """Return the schedule of a cron expression, in UTC.

    Raises:
        ScheduleError: if the expression is invalid.
    """
    from prefect.client.schemas.schedules import CronSchedule

    try:
        return CronSchedule(cron=cron)
    except ValueError:
        raise ScheduleError(
            f'--cron: expected five fields, minute hour day month weekday, such as "0 2 * * *"; got {cron!r}'
        ) from None


def _description(name: str) -> str:
    return f"Runs in {Path.cwd()}, which relative paths are meant from.\n\n    noisette deploy run {name}"


log = logging.getLogger(__name__)

_GRACE = 60.0  # seconds that flow runs have to save their state
_EVERY = 10.0  # seconds between two checks for flow runs to cancel


class GracefulRunner(Runner):
    """Forwards SIGTERM to its flow runs and ends after them; cancels flow runs after server outages."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._serving: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None

    async def serve(self) -> None:
        """Run flow runs until a signal arrives."""
        task = asyncio.ensure_future(self.start())
        self._serving = asyncio.get_running_loop(), task
        watcher = asyncio.ensure_future(self._watch_for_cancellation())
        try:
            with suppress(asyncio.CancelledError):
                await task
        finally:
            watcher.cancel()

    async def _watch_for_cancellation(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            for identity in self._process_manager.flow_run_ids():
                await self._cancel_if_requested(identity)

    async def _cancel_if_requested(self, identity: UUID) -> None:
        """Cancel a flow run whose state on the server is Cancelling, unless Prefect already does."""
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
        while any(_is_running(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.1)
        if self._serving is not None:
            loop, task = self._serving
            loop.call_soon_threadsafe(task.cancel)


def _is_running(pid: int) -> bool:
    """Return whether a child process is still running, without reaping it."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


class ServeError(NoisetteError):
    """A missing server, or a request that it rejects."""


def serve(
    root: Path, limit: int, gpus: int | None = None, cron: str | None = None, config: str | None = None
) -> None:
    """Serve the deployments until a signal arrives.

    Args:
        root: folder of all results, which is searched for flow runs that were killed.
        limit: maximum number of concurrent flow runs.
        gpus: how many of them compute at once; if None, one for each GPU of this machine.
        cron, config: schedule and config of automatic trainings.

    Raises:
        ScheduleError: if `cron` is invalid.
        ConfigError: if `config` is invalid.
        ServeError: if no Prefect server answers.
    """
    schedule = None if cron is None else cron_schedule(cron)
    if config is not None:
        Experiment.load(config_file(config))
    os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", str(HEARTBEAT))
    os.environ[PARENT] = str(os.getpid())
    if gpus is not None:
        os.environ[COUNT] = str(gpus)
    url = require_server()
    import asyncio

    install_automation()
    served = deployments(schedule, config)
    for name in mark_killed_flow_runs(root, again=True):
        print(f"goes on with {name}", flush=True)
    runner = GracefulRunner(name="noisette", limit=limit)
    for deployment in served:
        runner.add_deployment(deployment)
    print(f"serving {', '.join(DEPLOYED)} in {Path.cwd()}", flush=True)
    print(f"pages: {url.removesuffix('/api')}", flush=True)
    print(f"start: noisette deploy run {DEPLOYED[0]} -p config=NAME", flush=True)
    with suppress(KeyboardInterrupt):
        asyncio.run(runner.serve())
    print("no longer serving; what was stopped goes on with the next `noisette serve`", flush=True)


def require_server() -> str:
    """Return the URL of Prefect's server, after checking that it answers.

    Raises:
        ServeError: if no server is configured.
        ServerError: if it does not answer, or requires a password.
    """
    url = os.environ.get("PREFECT_API_URL", "")
    if not url:
        from prefect.settings import PREFECT_API_URL

        url = PREFECT_API_URL.value() or ""
    if not url:
        raise ServeError("there is no Prefect server: run `noisette up` first, or set PREFECT_API_URL")
    check_server()
    return url
