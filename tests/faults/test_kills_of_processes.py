"""A training in two processes, of which one is killed, ends in the bits of one that was left alone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.jobs import train_job, training
from support.processes import descendants, wait_until
from support.reliability import Result
from support.tiny import write_prepared
from support.trial import Trial, start_trial

from noisette.checkpoint import Checkpoint, find_finished_checkpoint, find_latest_checkpoint
from noisette.layout import training_directory

Record = Callable[[Result], None]
Times = Callable[[int, int], int]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes in Linux's /proc"),
]

TWO = ("training.processes=2", "training.steps=60")
VICTIMS = ("the main process", "torchrun", "a worker", "the other worker")


def bits(root: Path) -> dict[str, str]:
    checkpoint = find_finished_checkpoint(training_directory(training(*TWO), root), 60)
    assert checkpoint is not None
    return {name: record.sha256 for name, record in Checkpoint.open(checkpoint.directory).manifest.files.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The bits of a run that is left alone."""
    folder = tmp_path_factory.mktemp("whole")
    write_prepared(folder / "runs", training(*TWO))
    with start_trial(folder, train_job, folder / "runs", TWO) as trial:
        assert trial.end() == 0, trial.text
    return bits(folder / "runs")


def kill(trial: Trial, victim: int, after: float) -> None:
    """Kill one of the processes a while after the first checkpoint; wait until none is left."""
    wait_until((trial.began.parent / "announced").exists, "no checkpoint was told of")
    workers = descendants(trial.pid)
    everyone = [trial.pid, *sorted(workers)]
    time.sleep(after)
    os.kill(everyone[victim], signal.SIGKILL)
    trial.end()
    wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), f"{VICTIMS[victim]}: some live on"
    )


def test_kills_of_one_of_several_processes(
    tmp_path: Path, whole: dict[str, str], times: Times, record: Record
) -> None:
    moments, same, resumed = random.Random(7), 0, 0
    victims = [*range(len(VICTIMS))] * 3 if times(0, 1) else [2]
    for number, victim in enumerate(victims):
        folder = tmp_path / f"trial-{number}"
        write_prepared(folder / "runs", training(*TWO))
        with start_trial(folder, train_job, folder / "runs", TWO) as trial:
            kill(trial, victim, moments.uniform(0, 0.2))
        kept = find_latest_checkpoint(training_directory(training(*TWO), folder / "runs"))
        resumed += kept is not None and 0 < kept.step < 60
        with start_trial(folder / "again", train_job, folder / "runs", TWO) as trial:
            assert trial.end() == 0, trial.text
        same += bits(folder / "runs") == whole
        shutil.rmtree(folder)
    killed = ", ".join(VICTIMS[victim] for victim in sorted({*victims}))
    seen = {"killed": killed, "resumed before the end": resumed}
    record(Result("Kills", "SIGKILL of one process of a training in two processes", len(victims), same, seen))
    assert same == len(victims)
    assert resumed
