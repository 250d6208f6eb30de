"""Training is killed, and ends in the bits of a run that was not."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.jobs import KILLS, forgetful_job, train_job, training
from support.reliability import Result
from support.tiny import write_prepared
from support.trial import start_trial

from noisette import CheckpointError
from noisette.checkpoint import Checkpoint, find_finished_checkpoint, find_latest_checkpoint
from noisette.layout import training_directory
from noisette.storage import is_complete

Record = Callable[[Result], None]
Times = Callable[[int, int], int]
SECTION = "Kills"
FORGOTTEN = ("optimizer", "averaged weights", "network", "step")


@dataclass(frozen=True)
class Killed:
    """What a kill left, and how the run that went on ended."""

    mid_write: bool
    announced: int
    lost: int
    resumed_from: int
    same_bits: bool


def bits(root: Path, *overrides: str) -> dict[str, str]:
    """Return the hashes of the last checkpoint: weights, averaged weights, optimizer."""
    experiment = training(*overrides)
    checkpoint = find_finished_checkpoint(training_directory(experiment, root), experiment.training.steps)
    assert checkpoint is not None
    hashes = {name: record.sha256 for name, record in Checkpoint.open(checkpoint.directory).manifest.files.items()}
    assert set(hashes) == {"network.safetensors", "ema.safetensors", "optimizer.safetensors"}
    return hashes


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], float]:
    """The bits of a run that is left alone, and the seconds it works."""
    folder = tmp_path_factory.mktemp("whole")
    write_prepared(folder / "runs", training())
    with start_trial(folder, train_job, folder / "runs") as trial:
        start = trial.wait_until_working()
        assert trial.end() == 0, trial.text
        took = time.monotonic() - start
    return bits(folder / "runs"), took


def go_on(root: Path, folder: Path, expected: dict[str, str], overrides: tuple[str, ...] = ()) -> Killed:
    """Look at what a kill left, then train on."""
    run = training_directory(training(*overrides), root)
    announced = told(folder)
    gone = sum(map(lost, kept(run, announced, training(*overrides).training.keep_checkpoints)))
    before = find_latest_checkpoint(run)
    mid_write = bool([*(run / "checkpoints").glob(".staging-*")])
    with start_trial(folder / "again", train_job, root, overrides) as trial:
        assert trial.end() == 0, trial.text
    first = int((folder / "again" / "first").read_text()) - 1
    assert first == (before.step if before else 0)
    assert not [*(run / "checkpoints").glob(".*")], "what the kill left is swept up"
    return Killed(mid_write, len(announced), gone, first, bits(root, *overrides) == expected)


def told(folder: Path) -> list[Path]:
    """Return the checkpoints that a process announced as complete."""
    file = folder / "announced"
    return [Path(line) for line in file.read_text().splitlines()] if file.exists() else []


def kept(run: Path, announced: list[Path], keep: int) -> list[Path]:
    """Return the newest of all checkpoints that were ever complete: older ones may have been removed."""
    complete = {path for path in (run / "checkpoints").glob("step-*") if is_complete(path, "checkpoint")}
    return sorted(complete | set(announced))[-keep:]


def lost(directory: Path) -> bool:
    try:
        Checkpoint.open(directory)
    except CheckpointError:
        return True
    return False


def test_kills_at_random_times(
    root: Path, tmp_path: Path, whole: tuple[dict[str, str], float], times: Times, record: Record
) -> None:
    expected, took = whole
    moments = random.Random(5)
    trials: list[Killed] = []
    while len(trials) < times(3, 32):
        folder = tmp_path / f"trial-{len(trials)}"
        shutil.rmtree(folder, ignore_errors=True)
        mine = folder / "runs"
        shutil.copytree(root, mine)
        with start_trial(folder, train_job, mine) as trial:
            trial.send(signal.SIGKILL, moments.uniform(0.08, 0.95) * took)
            if trial.end() == 0:  # it was faster this time: no kill, no trial
                continue
        trials.append(go_on(mine, folder, expected))
    keep(record, "SIGKILL while training, at random times", trials)
    judge(trials)
    assert sum(trial.resumed_from > 0 for trial in trials) >= 0.9 * len(trials)


def test_kills_inside_a_checkpoint_write(
    root: Path, tmp_path: Path, whole: tuple[dict[str, str], float], times: Times, record: Record
) -> None:
    expected, _ = whole
    points = list(KILLS) * times(1, 2)
    trials: list[Killed] = []
    for number, point in enumerate(points):
        folder = tmp_path / f"trial-{number}"
        mine = folder / "runs"
        shutil.copytree(root, mine)
        overrides = ("training.keep_checkpoints=2",) if "removed" in point else ()
        with start_trial(folder, train_job, mine, overrides, point) as trial:
            assert trial.end() == -signal.SIGKILL, (point, trial.text)
        trials.append(go_on(mine, folder, expected, overrides))
        assert trials[-1].mid_write == ("before" in point or "between" in point), point
    keep(record, f"SIGKILL at a chosen point of a checkpoint write ({', '.join(KILLS)})", trials)
    judge(trials)
    assert all(trial.resumed_from > 0 for trial in trials)


def test_control_without_a_part_of_the_state_the_bits_differ(
    root: Path, tmp_path: Path, whole: tuple[dict[str, str], float], times: Times, record: Record
) -> None:
    expected, _ = whole
    parts = FORGOTTEN[: times(2, len(FORGOTTEN))]
    with start_trial(tmp_path / "killed", train_job, root, (), "before the manifest") as trial:
        assert trial.end() == -signal.SIGKILL
    differ = 0
    for forgotten in (*parts, "nothing"):
        mine = tmp_path / forgotten
        shutil.copytree(root, mine)
        with start_trial(tmp_path / f"trial-{forgotten}", forgetful_job, mine, forgotten) as trial:
            assert trial.end() == 0, trial.text
        differ += bits(mine) != expected
    seen = {"bits differ without": ", ".join(parts)}
    record(Result(SECTION, "control: a part of the state not restored after a SIGKILL", len(parts), differ, seen))
    assert differ == len(parts)


def keep(record: Record, fault: str, trials: list[Killed]) -> None:
    seen = {
        "resumed from a step > 0": sum(trial.resumed_from > 0 for trial in trials),
        "during a checkpoint write": sum(trial.mid_write for trial in trials),
        "checkpoints committed before": sum(trial.announced for trial in trials),
        "of them lost": sum(trial.lost for trial in trials),
    }
    record(Result(SECTION, fault, len(trials), sum(trial.same_bits for trial in trials), seen))


def judge(trials: list[Killed]) -> None:
    assert all(trial.same_bits for trial in trials), trials
    assert not sum(trial.lost for trial in trials), trials
    assert any(trial.mid_write for trial in trials) or len(trials) < 10, trials
