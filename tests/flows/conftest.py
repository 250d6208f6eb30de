from __future__ import annotations

from pathlib import Path

import pytest
from support.workspace import FinishedRun, Workspace, make_workspace, with_databases


@pytest.fixture
def workspace(tmp_path: Path, request: pytest.FixtureRequest) -> Workspace:
    """A working directory whose commands start a Prefect server each, if they need one, as slow tests do."""
    workspace = make_workspace(tmp_path)
    return with_databases(workspace) if request.node.get_closest_marker("slow") else workspace


@pytest.fixture
def served(workspace: Workspace, prefect: dict[str, str]) -> Workspace:
    """A working directory whose commands share a server of Prefect."""
    workspace.settings.update(prefect)
    return workspace


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The tiny experiment, run once for all tests; they only look at it."""
    workspace = with_databases(make_workspace(tmp_path_factory.mktemp("workspace")))
    return FinishedRun(workspace, workspace.noisette("run", "tiny.yaml"))
