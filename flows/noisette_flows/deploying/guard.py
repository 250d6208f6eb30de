"""What deployments count on at the server: a limit for trainings, and an end for flow runs that died unseen.

Each flow run says every half minute that it is alive (PREFECT_FLOWS_HEARTBEAT_FREQUENCY). One that has been silent
for two minutes is marked as crashed by an automation of the server: its machine is gone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

__all__ = ["AUTOMATION", "GPU", "HEARTBEAT", "install"]

AUTOMATION = "noisette: silent flow runs have crashed"
GPU = "gpu"
"""Tag of tasks that need a GPU for themselves."""

HEARTBEAT = 30
"""Seconds between two heartbeats, the fewest that Prefect takes."""

_SILENCE = timedelta(seconds=4 * HEARTBEAT)


def install(gpus: int | None = None) -> None:
    """Install both, as often as you like; a limit that is there stays unless another is asked for.

    Args:
        gpus: how many trainings may go on at once; one, if there is no limit yet.
    """
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        for automation in client.read_automations_by_name(AUTOMATION):
            client.delete_automation(automation.id)
        client.create_automation(_automation())
        if gpus is not None or not _limited(client):
            client.create_concurrency_limit(GPU, gpus or 1)


def _limited(client: SyncPrefectClient) -> bool:
    from prefect.exceptions import ObjectNotFound

    try:
        client.read_concurrency_limit_by_tag(GPU)
    except ObjectNotFound:
        return False
    return True


def _automation() -> AutomationCore:
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    ended = [f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Cancelled", "Crashed")]
    trigger = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat", *ended},
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=_SILENCE,
    )
    action = ChangeFlowRunState(
        state=StateType.CRASHED, message="It was silent for two minutes: its process or machine is gone."
    )
    return AutomationCore(name=AUTOMATION, description="Installed by noisette.", trigger=trigger, actions=[action])
