"""Prefect's server is killed in mid-flow, and the command is killed with an embedded one."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from support.prefect_server import is_alive, prefect_server, wait_until
from support.tiny import write_prepared
from support.workspace import Workspace

from noisette import Experiment
from noisette.checkpoint import find_latest_checkpoint

pytestmark = pytest.mark.slow

STEPS = 400
SETTINGS = (
    "--set",
    f"training.steps={STEPS}",
    "--set",
    "training.checkpoint_every=100000",
    "--tracking-uri",
    "off",
)
LONG = ("train", "tiny.yaml", *SETTINGS)


def prepared(workspace: Workspace) -> None:
    write_prepared(workspace.folder / "runs", Experiment.load(workspace.folder / "tiny.yaml"))


def servers(folder: Path) -> list[int]:
    """Return Prefect's embedded servers that were started in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            command = entry.joinpath("cmdline").read_bytes()
            server = b"\0uvicorn\0" in command and b"keeper.py" not in command
            if server and entry.joinpath("cwd").readlink() == folder and is_alive(int(entry.name)):
                found.append(int(entry.name))
    return found


def training(workspace: Workspace) -> bool:
    return bool(list(workspace.folder.glob("runs/tiny-*/metrics.jsonl")))


def states(workspace: Workspace) -> list[str]:
    """Return the states of all flow runs."""
    return sorted(column(workspace, "select state_type from flow_run"))


def column(workspace: Workspace, query: str) -> list[str]:
    """Ask Prefect's database."""
    with closing(sqlite3.connect(workspace.folder / "prefect" / "prefect.db")) as database:
        return [value for (value,) in database.execute(query)]


@pytest.mark.parametrize("hangs", [False, True])
def test_an_embedded_server_does_not_outlive_a_command_that_is_killed(
    workspace: Workspace, hangs: bool, full: bool
) -> None:
    if hangs and not full:
        pytest.skip("tried with --full; test_keeper.py has a server that hangs ended")
    prepared(workspace)
    process = workspace.start(*LONG)
    wait_until(lambda: training(workspace), "it trains")
    (server,) = servers(workspace.folder)  # the control
    if hangs:
        os.kill(server, signal.SIGSTOP)
    process.kill()
    process.communicate()
    wait_until(lambda: not servers(workspace.folder), "the server has ended")
    (left,) = workspace.folder.glob("runs/tiny-*/.flow-*")
    done = workspace.noisette(*LONG)  # what was killed is marked, and goes on
    assert done.returncode == 0, done.stderr
    assert not left.exists()
    assert states(workspace) == ["COMPLETED", "CRASHED"]


def test_an_embedded_server_that_is_killed_is_started_again(workspace: Workspace) -> None:
    prepared(workspace)
    process = workspace.start(*LONG)
    try:
        wait_until(lambda: training(workspace), "it trains")
        (first,) = servers(workspace.folder)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: set(servers(workspace.folder)) - {first}, "another is started")
        _, said = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert states(workspace) == ["COMPLETED"]
    assert not list(workspace.folder.glob("runs/*/.flow-*"))
    assert not column(workspace, "select event from events")  # nobody would look at them


def test_a_flow_run_that_was_killed_behind_its_last_stage_is_marked(workspace: Workspace) -> None:
    process = workspace.start("prepare", "tiny.yaml")
    while not list(workspace.folder.glob("runs/data/[!.]*/MANIFEST.json")):
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.communicate()
    wait_until(lambda: not servers(workspace.folder), "the server has ended")
    (left,) = workspace.folder.glob("runs/*/.flow-*")
    assert states(workspace) == ["RUNNING"]  # the control
    done = workspace.noisette("prepare", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    assert "finished before, skipped" in done.stderr
    assert "marked as crashed: tiny" in done.stderr
    assert states(workspace) == ["CRASHED"]
    assert not left.exists()
    again = workspace.noisette("prepare", "tiny.yaml", PREFECT_API_URL="http://127.0.0.1:9/api")  # nobody is asked
    assert again.returncode == 0, again.stderr
    assert "Prefect" not in again.stderr


@pytest.mark.parametrize("killed", [True, False])
def test_a_server_that_is_killed_in_mid_flow_costs_no_work(workspace: Workspace, killed: bool, full: bool) -> None:
    if not killed and not full:
        pytest.skip("the control: tried with --full; a server that stays is tried by all other flows")
    prepared(workspace)
    with prefect_server(workspace.folder) as server:
        workspace.settings["PREFECT_API_URL"] = f"{server.uri}/api"
        quick = {"PREFECT_CLIENT_MAX_RETRIES": "1", "PREFECT_CLIENT_RETRY_EXTRA_CODES": ""}
        process = workspace.start(*LONG, **quick)
        try:
            wait_until(lambda: training(workspace), "it trains")
            if killed:
                server.kill()
            _, said = process.communicate(timeout=600)
        finally:
            process.kill()
        (run,) = workspace.runs
        checkpoint = find_latest_checkpoint(run)
        assert checkpoint is not None
        assert checkpoint.step == STEPS, said  # the stage that was at work has finished
        assert process.returncode == (2 if killed else 0), said
        assert said.count("Prefect's server no longer answers") == killed, said
        for noise in ("Traceback", "prefect._internal", "Error logging to API"):
            assert noise not in said, said
        assert bool(list(run.glob(".flow-*"))) == killed  # the end could not be told
        if killed:
            server.start()
        again = workspace.noisette(*LONG)
        assert again.returncode == 0, again.stderr
        assert "train: finished before, skipped" in again.stderr
        assert not list(run.glob(".flow-*"))
        assert "RUNNING" not in states(workspace)
        wait_until(
            lambda: column(workspace, "select event from events"),
            "events are kept, as those of a server with pages",
        )
