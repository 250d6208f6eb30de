"""Trainings in two processes, with torchrun and gloo: beside one process, stopped, killed, and refused."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.jobs import train_job, training
from support.processes import descendants, listening_ports, wait_until
from support.stop_at import StopAt
from support.tiny import tiny, write_prepared
from support.trial import start_trial

from noisette import ConfigError, DataError, Events, Run, StorageError, hookimpl, train
from noisette.checkpoint import Checkpoint, find_latest_checkpoint
from noisette.journal import read_journal
from noisette.layout import training_directory
from noisette.storage import owned
from noisette.training.distributed import WorkerGroup, split_rows
from noisette.training.oom import more_microbatches

TWO = (
    "training.processes=2",
    "training.batch_size=9",
    "training.steps=8",
    "training.checkpoint_every=4",
    "training.keep_checkpoints=9",
)
ON_THE_WAY = ("training.preview_every=8", "training.evaluate_every=4", "evaluation.metrics=[held-out-loss]")
LEARNED = (
    "objective={name: eps, bound: hybrid}",
    "training.timestep_sampler=importance",
    "training.self_condition=true",
)
EVERYTHING = (
    *ON_THE_WAY,
    *LEARNED,
    "training.ema_snapshot_every=8",
    "training.microbatches=2",
    "training.class_conditional=true",
)
TOLERANCE = 2e-6
"""Largest difference of a weight after eight steps in float32 that comes of adding in another order."""


class Told:
    """Write down what is told here of what happens in the workers."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.seen: list[tuple[str, object]] = []

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        self.seen.append(("start", run.directory))

    @hookimpl
    def on_step(self, step: int) -> None:
        self.steps.append(step)

    @hookimpl
    def on_images(self, path: Path) -> None:
        self.seen.append(("images", path.exists()))

    @hookimpl
    def on_checkpoint(self, step: int) -> None:
        self.seen.append(("checkpoint", step))

    @hookimpl
    def on_run_end(self, status: str) -> None:
        self.seen.append(("end", status))


def trained(folder: Path, *overrides: str, events: Events | None = None) -> Checkpoint:
    experiment = tiny(*overrides)
    if not folder.exists():
        write_prepared(folder, experiment)
    return train(experiment, folder, events=events)


def tensors(run: Path) -> dict[str, torch.Tensor]:
    """Return every tensor of every file of a run, by file and name."""
    files = sorted(path for path in run.rglob("*.safetensors"))
    return {f"{file.relative_to(run)}/{name}": tensor for file in files for name, tensor in load_file(file).items()}


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """What one process trains."""
    folder = tmp_path_factory.mktemp("alone") / "runs"
    return tensors(trained(folder, *TWO, *EVERYTHING, "training.processes=1").run)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_train_what_one_does(parallel: str, alone: dict[str, torch.Tensor], tmp_path: Path) -> None:
    told, overrides = Told(), (*TWO, *EVERYTHING, f"training.parallel={parallel}")
    checkpoint = trained(tmp_path / "runs", *overrides, events=Events([told]))
    found = tensors(checkpoint.run)
    assert distance(found, alone) < TOLERANCE
    assert checkpoint.about["machine"]["processes"] == 2
    assert checkpoint.about["machine"]["parallel"] == parallel
    assert told.steps == list(range(1, 9))
    story = [
        ("start", checkpoint.run),
        ("checkpoint", 4),
        ("images", True),
        ("checkpoint", 8),
        ("end", "finished"),
    ]
    assert told.seen == story
    assert [entry["step"] for entry in read_journal(checkpoint.run) if "loss" in entry["metrics"]] == [4, 8]

    shutil.rmtree(checkpoint.directory)
    assert trained(tmp_path / "runs", *overrides).step == 8
    assert distance(tensors(checkpoint.run), found) == 0.0  # resumed: the same bits


def test_the_tolerance_tells_trainings_apart(alone: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """The control: what a process would train that saw only its own share of each batch."""
    half = tensors(
        trained(tmp_path / "runs", *TWO, *EVERYTHING, "training.processes=1", "training.batch_size=5").run
    )
    assert distance(half, alone) > 100 * TOLERANCE


@pytest.mark.slow
def test_a_stop_is_handed_on_and_agreed(tmp_path: Path) -> None:
    long = (*TWO, "training.steps=100000", "training.checkpoint_every=100000")
    told = Told()
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "runs", *long, events=Events([StopAt(3), told]))
    directory = training_directory(tiny(*long), tmp_path / "runs")
    kept = find_latest_checkpoint(directory)
    assert kept is not None
    assert kept.step == told.steps[-1] >= 3
    assert told.seen[-1] == ("end", "stopped")
    with owned(directory):
        pass  # nobody is left in it


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks into Linux's /proc")
def test_workers_listen_on_loopback_alone_and_end_with_their_parent(tmp_path: Path) -> None:
    long = ("training.processes=2", "training.steps=100000", "training.keep_checkpoints=2")
    write_prepared(tmp_path / "runs", training(*long))
    with start_trial(tmp_path / "job", train_job, tmp_path / "runs", long) as trial:
        wait_until((tmp_path / "job" / "announced").exists, "no checkpoint was told of")
        workers = descendants(trial.pid)
        assert len(workers) == 3  # torchrun and two workers
        addresses = set(listening_ports(workers))
        assert addresses
        assert addresses <= {"0100007F", "00000000000000000000000001000000"}
        trial.send(signal.SIGKILL)
        assert trial.end() == -signal.SIGKILL
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "workers outlived their parent")
    kept = find_latest_checkpoint(training_directory(training(*long), tmp_path / "runs"))
    assert kept is not None
    assert kept.step >= 2


@pytest.mark.slow
def test_an_error_of_a_worker_is_raised_here(tmp_path: Path) -> None:
    experiment = tiny(*TWO)
    write_prepared(tmp_path, experiment)
    with (
        owned(training_directory(experiment, tmp_path)),
        pytest.raises(StorageError, match=f"process {os.getpid()} is working in it"),
    ):
        train(experiment, tmp_path)


def test_more_processes_than_images_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"training\.processes: expected at most training\.batch_size, 8"):
        tiny("training.processes=9")


def test_more_processes_than_gpus_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="expected at most 1, one for each GPU; got 2"):
        trained(tmp_path / "runs", *TWO)


@pytest.mark.parametrize(("count", "parts"), [(9, 2), (8, 3), (5, 5), (4, 1)])
def test_shares_are_even_and_whole(count: int, parts: int) -> None:
    shares = split_rows(range(count), parts)
    assert [row for share in shares for row in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert [WorkerGroup(rank, parts).local_rows(count) for rank in range(parts)] == shares


def test_a_share_that_is_too_much_for_the_memory_is_told() -> None:
    with pytest.raises(DataError, match=r"raise training\.microbatches, now 2"):
        more_microbatches(torch.OutOfMemoryError("CUDA out of memory"), 2, 8, single_process=False)


@pytest.mark.parametrize(("given", "steps"), [("", 13), ("steps: 5", 5), ("steps: 50", 13)])
def test_training_is_counted_in_images(given: str, steps: int) -> None:
    experiment = tiny(f"training={{batch_size: 8, images: 100, {given}}}")
    assert experiment.training.steps == steps
    assert type(experiment).parse(experiment.options()) == experiment
    same = tiny(f"training={{batch_size: 8, steps: {steps}}}")
    assert training_directory(experiment, Path()) == training_directory(same, Path())
