from __future__ import annotations

from pathlib import Path

import pytest
from support.workshop import Finished, Workshop, migrated, workshop_in


@pytest.fixture
def workshop(tmp_path: Path, request: pytest.FixtureRequest) -> Workshop:
    """A working directory whose commands start a Prefect server each, if they need one, as slow tests do."""
    workshop = workshop_in(tmp_path)
    return migrated(workshop) if request.node.get_closest_marker("slow") else workshop


@pytest.fixture
def served(workshop: Workshop, prefect: dict[str, str]) -> Workshop:
    """A working directory whose commands share a server of Prefect."""
    workshop.settings.update(prefect)
    return workshop


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The tiny experiment, run once for all tests; they only look at it."""
    workshop = workshop_in(tmp_path_factory.mktemp("workshop"))
    return Finished(workshop, workshop.noisette("run", "tiny.yaml"))
