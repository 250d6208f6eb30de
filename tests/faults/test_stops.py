"""SIGTERM and SIGINT: work is saved and the process gone within ten seconds. One directory has one owner."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.jobs import evaluate_job, prepare_job, sample_job, train_job, training
from support.reliability import Result
from support.trial import start_trial
from support.workspace import Workspace, make_workspace

from noisette import train
from noisette.checkpoint import find_latest_checkpoint
from noisette.layout import training_directory

Record = Callable[[Result], None]
Times = Callable[[int, int], int]
SECTION = "Stops and locks"
MOST = 10.0
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


def long(*overrides: str) -> tuple[str, ...]:
    return ("training.steps=100000", "training.checkpoint_every=100000", *overrides)


LONG_GRID = long("training.preview_every=1", "sampling.samplers=[{name: ddpm, steps: 1000}]", "timesteps=1000")


def stopped(folder: Path, number: int, after: float, *job: object) -> tuple[int, float]:
    """Send a signal to a job at work; return its exit code and how long it took to end."""
    with start_trial(folder, *job) as trial:  # type: ignore[arg-type]
        trial.send(number, after)
        start = time.monotonic()
        return trial.end(), time.monotonic() - start


@pytest.mark.parametrize(
    ("what", "overrides"),
    [("training", long()), ("training, during a preview of 1,000 network calls", LONG_GRID)],
)
def test_training_saves_its_step(
    root: Path, tmp_path: Path, times: Times, record: Record, what: str, overrides: tuple[str, ...]
) -> None:
    took, saved, codes = [], 0, dict[int, None]()
    for index in range(times(1, 5)):
        for number, code in CODES.items():
            mine = tmp_path / f"{number}-{index}"
            shutil.copytree(root, mine / "runs")
            ended, seconds = stopped(mine, number, 0.3 + 0.1 * index, train_job, mine / "runs", overrides)
            assert ended == code
            codes[ended] = None
            took.append(seconds)
            checkpoint = find_latest_checkpoint(training_directory(training(*overrides), mine / "runs"))
            saved += checkpoint is not None and checkpoint.step > 0
    seen = {"exit codes": ", ".join(map(str, codes)), "most seconds": f"{max(took):.2f}", "state saved": saved}
    record(Result(SECTION, f"SIGTERM and SIGINT: {what}", len(took), sum(t <= MOST for t in took), seen))
    assert saved == len(took)
    assert max(took) <= MOST


def test_other_stages_end_at_once(finished_root: Path, tmp_path: Path, times: Times, record: Record) -> None:
    took, codes = [], dict[int, None]()
    jobs = {
        sample_job: ("sampling.num_images=100000", "sampling.batch_size=50000"),
        evaluate_job: ("sampling.num_images=5",),
        prepare_job: ("dataset=mnist-5k",),
    }
    for job, overrides in jobs.items():
        for index in range(times(1, 3)):
            for number, code in CODES.items():
                mine = tmp_path / f"{job.__name__}-{number}-{index}"
                shutil.copytree(finished_root, mine / "runs")
                ended, seconds = stopped(mine, number, 0.05 + 0.1 * index, job, mine / "runs", overrides)
                assert ended in (code, 0), job.__name__
                if ended:
                    codes[ended] = None
                    took.append(seconds)
    seen = {"exit codes": ", ".join(map(str, codes)), "most seconds": f"{max(took):.2f}"}
    fault = "SIGTERM and SIGINT: sampling (50,000 images a batch), evaluation, preparation"
    record(Result(SECTION, fault, len(took), sum(t <= MOST for t in took), seen))
    assert max(took) <= MOST


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_the_command_stops_in_a_sampling_and_goes_on(
    tmp_path: Path, full: bool, record: Record, number: signal.Signals
) -> None:
    if not full:
        pytest.skip("the command under Prefect takes long: tried by make faults; tests/flows stops a training")
    asked = (
        "run",
        "tiny.yaml",
        "--tracking-uri",
        "off",
        "--set",
        "sampling.num_images=400",
        "--set",
        "sampling.batch_size=2",
    )
    (tmp_path / "stopped").mkdir()
    (tmp_path / "whole").mkdir()
    workspace = make_workspace(tmp_path / "stopped")
    process = workspace.start(*asked)
    while batches(workspace) < 5:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    start = time.monotonic()
    process.send_signal(number)
    said = process.communicate(timeout=120)[1]
    took, kept = time.monotonic() - start, batches(workspace)
    again = workspace.noisette(*asked)
    assert again.returncode == 0, again.stderr
    went_on = "goes on:" in again.stderr
    seen = {"exit code": process.returncode, "seconds": f"{took:.1f}", "stored batches": kept, "resumed": went_on}
    right = process.returncode == CODES[number] and took <= MOST and went_on and "Traceback" not in said
    record(Result(SECTION, f"{number.name} to `noisette run` under Prefect, while sampling", 1, int(right), seen))
    assert right, (seen, said, again.stderr)


def batches(workspace: Workspace) -> int:
    files = workspace.folder.glob("runs/tiny-*/samples/.partial-*/.batches.jsonl")
    return max((len(file.read_text().splitlines()) - 1 for file in files), default=0)


def test_a_second_owner_is_refused_with_the_first_ones_id(
    finished_root: Path, tmp_path: Path, record: Record
) -> None:
    right = freed = 0
    jobs = {train_job: long(), sample_job: ("sampling.num_images=100000",)}
    for job, overrides in jobs.items():
        root = tmp_path / job.__name__ / "runs"
        shutil.copytree(finished_root, root)
        with start_trial(root.parent / "first", job, root, overrides) as first:
            first.wait_until_working()
            time.sleep(0.2)
            with start_trial(root.parent / "second", job, root, overrides) as second:
                code = second.end()
            right += code == 2 and f"process {first.pid} is working in it" in second.text
        ended, _ = stopped(root.parent / "third", signal.SIGTERM, 0.3, job, root, overrides)
        freed += ended == 143
    seen = {"refused with its process id": right}
    control = {"after a SIGKILL of the owner, the next one works": f"{freed} of {len(jobs)}"}
    record(
        Result(
            SECTION, "a second process in the same directory: training, sampling", len(jobs), right, seen, control
        )
    )
    assert right == freed == len(jobs)


@pytest.mark.parametrize(("seconds", "expected"), [("0.000001", 10), ("null", 1)])
def test_slow_steps_are_saved_by_the_clock(root: Path, record: Record, seconds: str, expected: int) -> None:
    options = ("training.steps=10", "training.checkpoint_every=100000", f"training.checkpoint_seconds={seconds}")
    run = train(training(*options), root).directory.parents[1]
    count = len([*(run / "checkpoints").glob("step-*")])
    seen = {"checkpoints in 10 steps": count}
    record(Result(SECTION, f"`training.checkpoint_seconds={seconds}`", 1, int(count == expected), seen))
    assert count == expected
