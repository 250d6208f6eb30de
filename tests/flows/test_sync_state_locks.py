"""Whatever is killed, no run stays RUNNING for ever in MLflow, and what goes on goes on in the same run."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.mlflow_store import empty_store
from support.outages import experiment, start_training, wait_until
from support.tiny import write_prepared
from support.workspace import FinishedRun, Workspace

from noisette import Events, Run, hookimpl, train
from noisette.checkpoint import find_finished_checkpoint as finished_training
from noisette.journal import read_journal
from noisette.layout import training_directory
from noisette_flows.tracking import Store, SyncState, Tracker, catch_up, is_behind, mark_killed
from noisette_flows.tracking.sync_state import RunLock

pytestmark = pytest.mark.slow

LONG, STEPS = 100_000, 400
PAUSE = 0.2  # seconds, at every fourth step


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return empty_store(tmp_path / "mlflow.db")


def told_of(store: Store) -> list[tuple[str, str]]:
    """Return names and states of all MLflow runs."""
    assert store.database is not None
    with closing(sqlite3.connect(store.database)) as database:
        return database.execute("select name, status from runs").fetchall()


def rows(store: Store) -> dict[str, tuple[str, str]]:
    """Return id and status of each MLflow run by its name."""
    assert store.database is not None
    with closing(sqlite3.connect(store.database)) as database:
        found = database.execute("select name, run_uuid, status from runs").fetchall()
    assert len({name for name, _, _ in found}) == len(found)
    return {name: (run_id, status) for name, run_id, status in found}


def statuses(store: Store) -> set[str]:
    return {status for _, status in rows(store).values()}


def senders_of(pid: int) -> list[int]:
    """Return the processes that a process has started and that send."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        child for child in map(int, children) if b"tracking.sender" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def started(job: subprocess.Popen[str], run: Path, store: Store) -> None:
    """Wait until a training and its runs are there."""
    wait_until(lambda: set(SyncState.load(run, store).statuses.values()) == {"RUNNING"}, job)
    wait_until(lambda: SyncState.load(run, store).lines > 0, job)


def test_a_run_killed_together_with_its_sender_is_marked_and_gone_on_with(root: Path, store: Store) -> None:
    planned = experiment(LONG)
    write_prepared(root, planned)
    run = training_directory(planned, root)
    with start_training(root, store.uri, LONG, PAUSE) as job:
        started(job, run, store)
        (sender,) = senders_of(job.pid)
        mark_killed(root, store)
        assert statuses(store) == {"RUNNING"}, "what is at work is left alone"
        for pid in (sender, job.pid):
            os.kill(pid, signal.SIGKILL)
        job.wait()
        time.sleep(0.2)
        assert statuses(store) == {"RUNNING"}, "the control: nobody was left to say that it ended"
        before = rows(store)
    mark_killed(root, store)
    assert statuses(store) == {"KILLED"}
    assert {name: run_id for name, (run_id, _) in rows(store).items()} == {
        name: run_id for name, (run_id, _) in before.items()
    }
    with start_training(root, store.uri, LONG, PAUSE) as job:
        wait_until(lambda: statuses(store) == {"RUNNING"}, job)
        assert {run_id for run_id, _ in rows(store).values()} == {run_id for run_id, _ in before.values()}
        job.kill()  # alone: its sender says so
        wait_until(lambda: statuses(store) == {"KILLED"}, None)


def test_the_next_run_of_another_experiment_marks_it_too(root: Path, store: Store) -> None:
    planned = experiment(LONG)
    write_prepared(root, planned)
    with start_training(root, store.uri, LONG, PAUSE) as job:
        started(job, training_directory(planned, root), store)
        for pid in (*senders_of(job.pid), job.pid):
            os.kill(pid, signal.SIGKILL)
        job.wait()
    with start_training(root, store.uri, 8) as job:
        assert job.wait(300) == 0, job.communicate()
    found = told_of(store)
    assert ("8 steps eps linear", "FINISHED") in found
    assert ("100000 steps eps linear", "KILLED") in found
    assert sorted(status for name, status in found if name == "training") == ["FINISHED", "KILLED"]


class Killer:
    """Kills the sender in the middle of a training."""

    def __init__(self) -> None:
        self.killed: list[int] = []

    @hookimpl
    def on_step(self, run: Run, step: int) -> None:
        if step == 6:
            self.killed = senders_of(os.getpid())
            for pid in self.killed:
                os.kill(pid, signal.SIGKILL)


def test_a_sender_that_was_killed_is_replaced_at_the_end(root: Path, store: Store) -> None:
    planned, killer = experiment(12), Killer()
    write_prepared(root, planned)
    run = training_directory(planned, root)
    with Tracker.follow(planned, run, store.uri, {}) as trackers:
        train(planned, root, events=Events([*trackers, killer], installed=False))
    assert len(killer.killed) == 1
    assert statuses(store) == {"FINISHED"}
    assert not is_behind(run, store)


def test_a_second_flow_in_the_same_directory_changes_nothing(root: Path, store: Store) -> None:
    planned = experiment(12)
    write_prepared(root, planned)
    run = training_directory(planned, root)
    with Tracker.follow(planned, run, store.uri, {}) as first:
        with pytest.raises(ValueError, match="refused"), Tracker.follow(planned, run, store.uri, {}):
            raise ValueError("refused: the directory has an owner")
        train(planned, root, events=Events(first, installed=False))
    assert statuses(store) == {"FINISHED"}
    assert len(rows(store)) == 2


def test_a_command_that_finds_all_finished_marks_what_was_killed_beside_it(
    finished: FinishedRun, tmp_path: Path
) -> None:
    folder = tmp_path / "workspace"
    shutil.copytree(finished.workspace.folder, folder, ignore=shutil.ignore_patterns("prefect", "features"))
    workspace = Workspace(folder)
    store = Store.of(f"sqlite:///{folder}/mlflow.db")
    assert store is not None
    (run,) = workspace.runs
    killed = run.with_name("other-0123456789")
    shutil.copytree(run, killed)
    run_lock = RunLock.take(killed)  # until its process was killed
    assert run_lock is not None
    run_lock.release()
    memory = SyncState.load(killed, store)
    memory.statuses["train"] = "RUNNING"
    memory.save(killed)
    done = workspace.noisette("prepare", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    assert SyncState.load(killed, store).statuses["train"] == "KILLED"
    assert rows(store)["training"][1] == "KILLED"
    assert rows(store)["12 steps eps linear"][1] == "FINISHED"


def test_what_a_killed_run_had_measured_is_all_there_in_the_end(root: Path, store: Store) -> None:
    planned = experiment(STEPS)
    write_prepared(root, planned)
    run = training_directory(planned, root)
    with start_training(root, store.uri, STEPS, PAUSE) as job:
        started(job, run, store)
        for pid in (*senders_of(job.pid), job.pid):
            os.kill(pid, signal.SIGKILL)
        job.wait()
    with start_training(root, store.uri, STEPS) as job:
        assert job.wait(300) == 0, job.communicate()
    assert finished_training(run, STEPS) is not None
    catch_up(planned, run, store, {})
    assert statuses(store) == {"FINISHED"}
    assert store.database is not None
    with closing(sqlite3.connect(store.database)) as database:
        query = "select step from metrics join runs using (run_uuid) where key = 'train/loss' and name = 'training'"
        stored = sorted(step for (step,) in database.execute(query))
    assert stored == [entry["step"] for entry in read_journal(run)]
