"""A tracking server that is not there costs no result, and what it missed reaches it later."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.workspace import FinishedRun, Workspace, patient

from noisette.checkpoint import find_latest_checkpoint
from noisette.journal import read_journal
from noisette_flows.tracking import Store, is_behind

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_dead_tracking_server_costs_nothing_and_is_told_of(served: Workspace, finished: FinishedRun) -> None:
    uri = f"http://ann:secret@127.0.0.1:{free_port()}"
    done = served.noisette("run", "tiny.yaml", "--json", "--tracking-uri", uri)
    assert done.returncode == 0, done.stderr
    assert "is behind" in done.stderr
    assert "Nothing is lost" in done.stderr
    assert "is behind" not in finished.first.stderr  # the control: a store that answers
    assert "Traceback" not in done.stderr
    rows, (run,) = json.loads(done.stdout)["rows"], served.runs
    reference = json.loads(finished.workspace.noisette("run", "tiny.yaml", "--json").stdout)["rows"]
    assert [row["results"] for row in rows] == [row["results"] for row in reference]
    kept = "".join(
        path.read_text(errors="ignore") for path in run.rglob("*") if path.suffix in (".json", ".jsonl", ".log")
    )
    assert "secret" not in done.stdout + done.stderr + kept

    store = Store.of(f"sqlite:///{served.folder}/mlflow.db")
    assert store is not None
    assert is_behind(run, store)
    again = served.noisette("run", "tiny.yaml")
    assert again.returncode == 0
    assert not is_behind(run, store)
    assert "started" not in again.stderr


def states(workspace: Workspace, what: str) -> list[tuple[str, str]]:
    """Return names and states of Prefect's flow or task runs."""
    with closing(sqlite3.connect(workspace.folder / "prefect" / "prefect.db")) as database:
        return database.execute(f"select name, state_type from {what}").fetchall()


def mlflow_runs(workspace: Workspace) -> dict[str, str]:
    with closing(sqlite3.connect(workspace.folder / "mlflow.db")) as database:
        return dict(database.execute("select name, status from runs").fetchall())


def test_prefect_shows_names_that_a_person_can_read(finished: FinishedRun) -> None:
    assert states(finished.workspace, "flow_run") == [("tiny: 12 steps eps linear", "COMPLETED")]
    assert {name for name, _ in states(finished.workspace, "task_run")} <= {
        "prepare digits",
        "train 12 steps",
        "sample ddim-5",
        "sample ddpm-4",
        "evaluate tiny",
    }


def journalled(workspace: Workspace) -> list[int]:
    runs = workspace.runs if (workspace.folder / "runs").exists() else []
    return [entry["step"] for run in runs for entry in read_journal(run) if entry["stage"] == "train"]


STEPS = 200
LONG = ("run", "tiny.yaml", "--set", f"training.steps={STEPS}", "--set", "training.checkpoint_every=100000")


def stopped(workspace: Workspace, sent: signal.Signals) -> tuple[int, str]:
    """Stop a training that has begun; return exit code and what was said on stderr."""
    process = patient(workspace).start(*LONG)
    while len(journalled(workspace)) < 3:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    if sent == signal.SIGINT:
        os.killpg(process.pid, sent)  # as a terminal does
    else:
        process.send_signal(sent)
    said = process.communicate(timeout=120)[1]
    assert "stopped; run the same command to resume" in said
    assert "Traceback" not in said
    (run,) = workspace.runs
    checkpoint = find_latest_checkpoint(run)
    assert checkpoint is not None
    assert 0 < checkpoint.step < STEPS
    assert mlflow_runs(workspace) == {f"{STEPS} steps eps linear": "KILLED", "training": "KILLED"}
    assert [state for _, state in states(workspace, "flow_run")] == ["CRASHED"]
    return process.returncode, said


def test_sigterm_saves_the_state(workspace: Workspace, full: bool) -> None:
    if not full:
        pytest.skip("tried with --full; tests/faults/test_stops.py sends it to the engines")
    code, said = stopped(workspace, signal.SIGTERM)
    assert code == 143, said


def test_ctrl_c_saves_the_state_and_the_same_command_goes_on(workspace: Workspace) -> None:
    code, said = stopped(workspace, signal.SIGINT)
    assert code == 130, said
    done = workspace.noisette(*LONG)
    assert done.returncode == 0, done.stderr
    assert set(mlflow_runs(workspace)) == {f"{STEPS} steps eps linear", "training", "ddim-5", "ddpm-4"}
    assert set(mlflow_runs(workspace).values()) == {"FINISHED"}
    assert journalled(workspace) == list(range(4, STEPS + 1, 4))
    assert stored_steps(workspace.folder) == journalled(workspace)


def stored_steps(folder: Path) -> list[int]:
    """Return the steps of the loss in MLflow, as its training run has them."""
    query = """select step from metrics join runs using (run_uuid)
               where key = 'train/loss' and name = 'training' order by step"""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return [step for (step,) in database.execute(query)]


def test_a_prefect_server_that_does_not_answer_is_named(workspace: Workspace) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    done = workspace.noisette("run", "tiny.yaml", PREFECT_API_URL=url, PREFECT_CLIENT_MAX_RETRIES="0")
    assert done.returncode == 2
    assert f"Prefect's server at {url} does not answer" in done.stderr
    assert "Traceback" not in done.stderr
