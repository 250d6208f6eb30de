"""The flows that can be started from Prefect's UI and CLI, and by a schedule."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette import NoisetteError
from noisette_flows.deploying.automations import TAG

if TYPE_CHECKING:
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.deployments.runner import RunnerDeployment

__all__ = ["DEPLOYED", "LOCAL", "POOL", "ScheduleError", "cron_schedule", "deployments"]

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
