"""Sending artifacts from a separate thread, only the newest of each key.

A slow or dead server does not delay the work: a newer artifact replaces one that was not sent yet.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

__all__ = ["Artifact", "ArtifactSender", "send_interval", "slug"]

log = logging.getLogger(__name__)

_RETRY_AFTER = 30.0  # seconds after a server that did not answer is asked again
_MAX_INTERVAL = 30.0  # seconds between two rounds of a long run, each of which adds an event to Prefect's database


def slug(text: str) -> str:
    """Return a text as a key of an artifact: lower-case letters, digits and dashes."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))


@dataclass(frozen=True)
class Artifact:
    """An artifact.

    Attributes:
        key: its name in Prefect's pages: lower-case letters, digits and dashes.
        kind: "progress", "markdown" or "table".
        data: as Prefect stores that kind.
        description: markdown.
        task_run: of the artifact; None for the flow run itself.
    """

    key: str
    kind: str
    data: Any
    description: str = ""
    task_run: UUID | None = None


class ArtifactSender:
    """Sends the artifacts of one flow run.

    Args:
        flow_run: its id.
        every: seconds between the first rounds; later ones are less frequent.
        client: makes a client of Prefect's server.
    """

    def __init__(
        self, flow_run: UUID, every: float = 2.0, client: Callable[[], SyncPrefectClient] | None = None
    ) -> None:
        self._flow_run, self._every, self._client = flow_run, every, client or _client
        self._pending: dict[str, Artifact] = {}
        self._known: dict[str, UUID] = {}
        self._lock, self._wake, self._ending = threading.Lock(), threading.Event(), False
        context = copy_context()  # with the server of the flow run
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="artifacts", daemon=True)
        self._thread.start()

    def post(self, artifact: Artifact) -> None:
        """Queue an artifact for the next round in place of an older one; returns at once."""
        with self._lock:
            self._pending[artifact.key] = artifact

    def close(self, patience: float = 10.0) -> None:
        """Send the rest; wait for at most `patience` seconds."""
        self._ending = True
        self._wake.set()
        self._thread.join(patience)

    def _run(self) -> None:
        began = time.monotonic()
        while not self._ending:
            self._wake.wait(send_interval(time.monotonic() - began, self._every))
            if self._send_newest():
                continue
            if not self._ending:
                self._wake.wait(_RETRY_AFTER)
        self._send_newest()

    def _send_newest(self) -> bool:
        """Send the queue; return whether the server accepted it."""
        with self._lock:
            artifacts, self._pending = list(self._pending.values()), {}
        if not artifacts:
            return True
        try:
            with self._client() as client:
                while artifacts:
                    self._send(client, artifacts[0])
                    artifacts.pop(0)
        except Exception as error:  # Prefect's client raises whatever its libraries raise
            log.debug("artifacts are not sent: %r", error)
            with self._lock:
                self._pending = {artifact.key: artifact for artifact in artifacts} | self._pending
            return False
        return True

    def _send(self, client: SyncPrefectClient, artifact: Artifact) -> None:
        from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

        known = self._known.get(artifact.key)
        if known is not None:
            client.update_artifact(known, ArtifactUpdate(data=artifact.data, description=artifact.description))
            return
        request = ArtifactCreate(
            key=artifact.key,
            type=artifact.kind,
            data=artifact.data,
            description=artifact.description,
            flow_run_id=self._flow_run,
            task_run_id=artifact.task_run,
        )
        self._known[artifact.key] = client.create_artifact(request).id


def send_interval(age: float, first: float) -> float:
    """Return the seconds between two rounds of a run of some age in seconds."""
    return max(first, min(age / 60, _MAX_INTERVAL))


def _client() -> SyncPrefectClient:
    from prefect.client.orchestration import get_client

    return get_client(sync_client=True)
