"""Runs that MLflow shows as running though nobody is at work on them: killed together with their senders."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from noisette_flows.tracking.claim import Claim
from noisette_flows.tracking.memory import MEMORY, Memory
from noisette_flows.tracking.runs import client_of
from noisette_flows.tracking.store import Store

__all__ = ["bury", "zombies"]

_PLACES = (f"*/{MEMORY}", f"*/best/{MEMORY}", f"*/averaged/*/{MEMORY}")


def zombies(root: Path, store: Store) -> Iterator[Path]:
    """Yield the run directories that a store shows as running, and nobody has claimed; asks no server."""
    for place in _PLACES:
        for file in sorted(root.glob(place)):
            if "RUNNING" in Memory.load(file.parent, store).statuses.values():
                claim = Claim.of_killed(file.parent)
                if claim is not None:
                    claim.drop()
                    yield file.parent


def bury(root: Path, store: Store) -> None:
    """Mark them as killed; one that goes on later goes on in the same MLflow run.

    Raises:
        MlflowException: or whatever else the client raises when its store does not answer.
    """
    for run in list(zombies(root, store)):
        claim = Claim.of_killed(run)
        if claim is None:
            continue
        try:
            _mark(run, store)
        finally:
            claim.drop()


def _mark(run: Path, store: Store) -> None:
    from mlflow.exceptions import MlflowException

    client, memory = client_of(store), Memory.load(run, store)
    for key, status in memory.statuses.items():
        if status != "RUNNING":
            continue
        try:
            client.set_terminated(memory.runs[key], "KILLED")
        except MlflowException as error:  # deleted by somebody, perhaps
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
        memory.statuses[key] = "KILLED"
    memory.save(run)


if __name__ == "__main__":
    order = json.load(sys.stdin)
    found = Store.of(order["uri"])
    if found is not None:
        bury(Path(order["root"]), found)
