"""Prefect's server is killed in mid-flow, and the command is killed with an embedded one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from support.prefect_server import alive, free_ports, until
from support.workshop import Workshop

from noisette.checkpoint import latest

pytestmark = pytest.mark.slow

LONG = ("run", "tiny.yaml", "--set", "training.steps=800", "--set", "training.save_every=100000")


def servers(folder: Path) -> list[int]:
    """Return Prefect's embedded servers that were started in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            command = entry.joinpath("cmdline").read_bytes()
            if entry.joinpath("cwd").readlink() == folder and b"\0uvicorn\0" in command and alive(int(entry.name)):
                found.append(int(entry.name))
    return found


def training(workshop: Workshop) -> bool:
    return bool(list(workshop.folder.glob("runs/tiny-*/metrics.jsonl")))


def test_an_embedded_server_does_not_outlive_a_command_that_is_killed(workshop: Workshop) -> None:
    process = workshop.start(*LONG)
    until(lambda: training(workshop), "it trains")
    assert servers(workshop.folder)  # the control
    process.kill()
    process.communicate()
    until(lambda: not servers(workshop.folder), "the server has ended")
    (left,) = workshop.folder.glob("runs/tiny-*/.flow-*")
    done = workshop.noisette(*LONG)  # what was killed is marked, and goes on
    assert done.returncode == 0, done.stderr
    assert not left.exists()
    states = subprocess.run(
        [sys.executable, "-c", ASK, str(workshop.folder / "prefect" / "prefect.db")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(json.loads(states.stdout)) == ["COMPLETED", "CRASHED"]


ASK = """
import json, sqlite3, sys
print(json.dumps([state for (state,) in sqlite3.connect(sys.argv[1]).execute("select state_type from flow_run")]))
"""


@pytest.mark.parametrize("killed", [True, False])
def test_a_server_that_is_killed_in_mid_flow_costs_no_work(workshop: Workshop, killed: bool) -> None:
    prefect, mlflow = map(str, free_ports(2))
    up = workshop.noisette("up", "--prefect-port", prefect, "--mlflow-port", mlflow, "--json")
    assert up.returncode == 0, up.stderr
    server = json.loads(up.stdout)[0]["pid"]
    quick = {"PREFECT_CLIENT_MAX_RETRIES": "1", "PREFECT_CLIENT_RETRY_EXTRA_CODES": ""}
    process = workshop.start(*LONG, **quick)
    try:
        until(lambda: training(workshop), "it trains")
        if killed:
            os.killpg(server, signal.SIGKILL)
        _, said = process.communicate(timeout=600)
        (run,) = workshop.runs
        checkpoint = latest(run)
        assert checkpoint is not None
        assert checkpoint.step == 800, said  # the stage that was at work has finished
        assert process.returncode == (2 if killed else 0), said
        assert said.count("Prefect's server no longer answers") == killed, said
        for noise in ("Traceback", "prefect._internal", "Error logging to API"):
            assert noise not in said, said
        if killed:
            assert workshop.noisette("up", "--prefect-port", prefect, "--mlflow-port", mlflow).returncode == 0
        again = workshop.noisette(*LONG)
        assert again.returncode == 0, again.stderr
        assert "train: finished before, skipped" in again.stderr
    finally:
        process.kill()
        workshop.noisette("down")
