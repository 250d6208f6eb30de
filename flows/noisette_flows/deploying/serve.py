"""`noisette serve`: the deployments and the process that runs them, for a workstation."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from noisette import Experiment, NoisetteError
from noisette_flows.asked import config_file
from noisette_flows.deploying.deployments import DEPLOYED, cron_schedule, deployments
from noisette_flows.deploying.guard import HEARTBEAT, install
from noisette_flows.gpus import COUNT
from noisette_flows.liveness import PARENT, mark
from noisette_flows.server import check_server

__all__ = ["ServeError", "serve"]


class ServeError(NoisetteError):
    """A server that there is not, or a request that it refuses."""


def serve(
    root: Path, limit: int, gpus: int | None = None, cron: str | None = None, config: str | None = None
) -> None:
    """Serve the deployments until a signal comes.

    Args:
        root: folder of all results, in which flow runs that were killed are looked for.
        limit: how many flow runs go on at once.
        gpus: how many of them compute at once; one for each GPU of this machine, if None.
        cron, config: when to train what, without being asked.

    Raises:
        ScheduleError: if `cron` cannot be understood.
        ConfigError: if `config` cannot.
        ServeError: if no Prefect server answers.
    """
    schedule = None if cron is None else cron_schedule(cron)
    if config is not None:
        Experiment.load(config_file(config))
    os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", str(HEARTBEAT))
    os.environ[PARENT] = str(os.getpid())
    if gpus is not None:
        os.environ[COUNT] = str(gpus)
    url = reach()
    import asyncio

    from noisette_flows.deploying.runner import GracefulRunner

    install()
    served = deployments(schedule, config)
    for name in mark(root, again=True):
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


def reach() -> str:
    """Return the address of Prefect's server, which answers.

    Raises:
        ServeError: if none is named; ServerError: if it does not answer, or not without a password.
    """
    url = os.environ.get("PREFECT_API_URL", "")
    if not url:
        from prefect.settings import PREFECT_API_URL

        url = PREFECT_API_URL.value() or ""
    if not url:
        raise ServeError("there is no Prefect server: run `noisette up` first, or set PREFECT_API_URL")
    check_server()
    return url
