"""A Prefect server that is not there, or does not start; test_server_outage.py ends those that are."""

from __future__ import annotations

import pytest
from support.tiny import write_prepared
from support.workspace import Workspace

from noisette import Experiment

pytestmark = pytest.mark.slow


@pytest.fixture
def long(workspace: Workspace) -> tuple[str, ...]:
    """A command that trains for long, in a workshop with images."""
    write_prepared(workspace.folder / "runs", Experiment.load(workspace.folder / "tiny.yaml"))
    return ("train", "tiny.yaml", "--set", "training.steps=100000", "--tracking-uri", "off")


def test_a_server_that_is_not_there_is_named(workspace: Workspace, long: tuple[str, ...]) -> None:
    done = workspace.noisette(*long, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 2
    assert "Prefect's server at http://127.0.0.1:9/api does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_of_a_profile_is_used(workspace: Workspace, long: tuple[str, ...]) -> None:
    there = workspace.folder / "prefect"
    address = "http://127.0.0.1:9/api"
    (there / "profiles.toml").write_text(f'active = "work"\n[profiles.work]\nPREFECT_API_URL = "{address}"\n')
    done = workspace.noisette(*long)
    assert done.returncode == 2
    assert f"Prefect's server at {address} does not answer" in done.stderr


def test_a_server_that_does_not_start_says_why(workspace: Workspace, long: tuple[str, ...]) -> None:
    nowhere = f"sqlite+aiosqlite:///{workspace.folder}/nowhere/prefect.db"
    done = workspace.noisette(*long, PREFECT_API_DATABASE_CONNECTION_URL=nowhere)
    assert done.returncode == 2
    assert "Prefect's embedded server does not start" in done.stderr
    assert "Traceback" not in done.stderr
