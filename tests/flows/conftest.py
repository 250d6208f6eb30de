from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.prefect_server import prefect_server
from support.workshop import Finished, Workshop, workshop_in


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A working directory whose commands start a Prefect server each, if they need one."""
    return workshop_in(tmp_path)


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of commands that share a server of Prefect, whose start takes longer than most of them."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as server:
        yield {"PREFECT_API_URL": f"{server.uri}/api"}


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
