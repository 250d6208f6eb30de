"""The flows that can be started from Prefect's pages and command, and by a schedule."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

__all__ = ["DEPLOYED", "LOCAL", "POOL", "deployments"]

DEPLOYED = ("train-and-eval", "compare-samplers", "evaluate")
"""Names of the flows that are deployed."""

LOCAL = "local"
"""The deployments of `noisette serve`."""

POOL = "pool"
"""Those of prefect.yaml, which workers run."""


def deployments(cron: str | None = None, config: str | None = None) -> list[RunnerDeployment]:
    """Return what `noisette serve` serves.

    Args:
        cron: when train-and-eval starts by itself, such as "0 2 * * *".
        config: what it trains then.
    """
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.types.entrypoint import EntrypointType

    from noisette_flows import pipeline

    flows = {flow.name: flow for flow in vars(pipeline).values() if getattr(flow, "name", None) in DEPLOYED}
    served = [
        flows[name].to_deployment(
            LOCAL, tags=["noisette"], entrypoint_type=EntrypointType.MODULE_PATH, description=_described(name)
        )
        for name in DEPLOYED
    ]
    if cron is not None:
        schedule = CronSchedule(cron=cron)
        served[0] = flows[DEPLOYED[0]].to_deployment(
            LOCAL,
            tags=["noisette"],
            entrypoint_type=EntrypointType.MODULE_PATH,
            description=_described(DEPLOYED[0]),
            schedule=schedule,
            parameters={"config": config},
        )
    return served


def _described(name: str) -> str:
    return f"Runs in {Path.cwd()}, which relative paths are meant from.\n\n    noisette deploy run {name}"
