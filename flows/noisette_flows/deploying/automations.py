"""The server automation that deployments need: it ends flow runs whose heartbeats have stopped.

Each flow run sends a heartbeat every half minute (PREFECT_FLOWS_HEARTBEAT_FREQUENCY). The automation marks a flow
run without a heartbeat for two minutes as crashed, because its machine is gone. Flow runs without the tag may be
silent for longer and are not affected.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.events.schemas.automations import AutomationCore

__all__ = ["AUTOMATION", "HEARTBEAT", "TAG", "install_automation"]

AUTOMATION = "noisette: silent flow runs have crashed"
TAG = "noisette"
"""Tag of every flow run of a deployment or of a command."""

HEARTBEAT = 30
"""Seconds between two heartbeats, Prefect's minimum."""

_SILENCE = timedelta(seconds=4 * HEARTBEAT)

_SILENT = (
    *("Completed", "Failed", "Cancelled", "Crashed"),
    *("Suspended", "Paused", "Scheduled", "Resuming", "AwaitingRetry"),
)
"""States in which no process is expected to send heartbeats."""


def install_automation() -> None:
    """Install the automation, unless it is already installed."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        for automation in client.read_automations_by_name(AUTOMATION):
            client.delete_automation(automation.id)
        client.create_automation(_automation())


def _automation() -> AutomationCore:
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    ended = [f"prefect.flow-run.{name}" for name in _SILENT]
    trigger = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat", *ended},
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        match_related=ResourceSpecification(
            {"prefect.resource.role": ["tag"], "prefect.resource.id": [f"prefect.tag.{TAG}"]}
        ),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=_SILENCE,
    )
    action = ChangeFlowRunState(
        state=StateType.CRASHED, message="It was silent for two minutes: its process or machine is gone."
    )
    return AutomationCore(name=AUTOMATION, description="Installed by noisette.", trigger=trigger, actions=[action])
