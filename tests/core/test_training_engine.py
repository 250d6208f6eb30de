from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.stop_at import StopAt
from support.tiny import tiny

from noisette import DataError, Events, Model, NotFiniteError, Run, StorageError, hookimpl, train
from noisette.checkpoint import Checkpoint, find_latest_checkpoint
from noisette.journal import read_journal
from noisette.layout import training_directory
from noisette.storage import owned
from noisette.training.state import TrainingState


class Listener:
    """Write down what is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, object]] = []

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        self.seen.append(("start", run.total))

    @hookimpl
    def on_metrics(self, step: int, metrics: dict[str, float]) -> None:
        self.seen.append(("metrics", step))
        quarters = {f"loss_q{quarter}" for quarter in range(4)}
        assert set(metrics) == {"loss", *quarters, "lr", "grad_norm", "images_per_second"}

    @hookimpl
    def on_images(self, step: int, path: Path) -> None:
        assert path.read_bytes().startswith(b"\x89PNG")
        self.seen.append(("images", step))

    @hookimpl
    def on_checkpoint(self, step: int) -> None:
        self.seen.append(("checkpoint", step))

    @hookimpl
    def on_run_end(self, status: str) -> None:
        self.seen.append(("end", status))


def stopped_at(root: Path, step: int, *overrides: str) -> Path:
    """Train and stop; return a results folder in which the run can be resumed."""
    with pytest.raises(KeyboardInterrupt):
        train(tiny(*overrides), root, events=Events([StopAt(step)]))
    return training_directory(tiny(*overrides), root)


def test_events_tell_the_story(root: Path) -> None:
    listener = Listener()
    train(tiny("training.checkpoint_every=5", "training.preview_every=6"), root, events=Events([listener]))
    assert listener.seen == [
        ("start", 12),
        ("metrics", 4),
        ("checkpoint", 5),
        ("images", 6),
        ("metrics", 8),
        ("checkpoint", 10),
        ("metrics", 12),
        ("images", 12),
        ("checkpoint", 12),
        ("end", "finished"),
    ]


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("backbone.dropout=0.3", "training.random_flip=true", "training.class_conditional=true"),
        ("training.ema_warmup=none", "training.ema_update_every=3"),
        (
            "training.optimizer=muon",
            "training.batch_size=12",
            "training.drop_last=false",
            "training.lr_schedule=linear-by-epoch",
        ),
    ],
)
def test_a_resumed_run_ends_in_the_same_bits(root: Path, tmp_path_factory: pytest.TempPathFactory, options) -> None:
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(root, other, dirs_exist_ok=True)
    whole = train(tiny(*options), root)
    run = stopped_at(other, 5, *options)
    assert [find_latest_checkpoint(run).step] == [5]  # type: ignore[union-attr]
    resumed = train(tiny(*options), other)
    assert resumed.manifest.files == whole.manifest.files
    steps = [entry["step"] for entry in read_journal(run)]
    assert steps == [4, 8, 12]


@pytest.mark.parametrize("forgotten", ["optimizer", "network", "step"])
def test_control_without_the_restored_state_the_bits_differ(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(root, other, dirs_exist_ok=True)
    whole = train(tiny(), root)
    stopped_at(other, 5)
    restore = TrainingState.restore

    def forgetful(self: TrainingState, checkpoint: Checkpoint) -> None:
        fresh = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        restore(self, checkpoint)
        if forgotten == "optimizer":
            self.optimizer.state.clear()
        elif forgotten == "network":
            self.network.load_state_dict(fresh)
        else:
            self.step = 4

    monkeypatch.setattr(TrainingState, "restore", forgetful)
    assert train(tiny(), other).manifest.files != whole.manifest.files


def test_a_damaged_checkpoint_is_passed_over(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = stopped_at(root, 10, "training.checkpoint_every=4")
    newest = find_latest_checkpoint(run)
    assert newest is not None
    assert newest.step == 10
    weights = newest.directory / "network.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    older = find_latest_checkpoint(run)
    assert older is not None
    assert older.step == 8
    assert "network.safetensors" in caplog.text


class StopAtOnce:
    """Ask for a stop before the first step."""

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def test_a_stop_before_the_first_step_can_be_gone_on_from(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(root, other, dirs_exist_ok=True)
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), root, events=Events([StopAtOnce()]))
    run = training_directory(tiny(), root)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000000"]
    assert train(tiny(), root).manifest.files == train(tiny(), other).manifest.files


def test_a_stop_that_comes_at_once_does_not_write_a_good_checkpoint_again(root: Path) -> None:
    run = stopped_at(root, 5)
    stamp = (run / "checkpoints" / "step-00000005").stat().st_ino
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), root, events=Events([StopAtOnce()]))
    assert (run / "checkpoints" / "step-00000005").stat().st_ino == stamp


def test_a_grid_is_given_up_for_a_stop(root: Path) -> None:
    options = ("training.preview_every=3", "sampling.samplers=[{name: ddim, steps: 20}]")
    run = stopped_at(root, 6, *options)
    assert [path.name for path in (run / "grids").iterdir()] == ["step-00000003.png"]
    newest = find_latest_checkpoint(run)
    assert newest is not None
    assert newest.step == 6


def test_a_finished_training_is_returned_without_work(root: Path) -> None:
    first = train(tiny(), root)
    listener = Listener()
    assert train(tiny(), root, events=Events([listener])) == first
    assert listener.seen == []


def test_checkpoints_beyond_keep_are_removed(root: Path) -> None:
    train(tiny("training.checkpoint_every=2", "training.keep_checkpoints=3"), root)
    kept = sorted(path.name for path in (training_directory(tiny(), root) / "checkpoints").iterdir())
    assert kept == ["step-00000008", "step-00000010", "step-00000012"]


def test_grids_and_logging_change_no_weight(root: Path) -> None:
    plain = train(tiny(), root)
    shutil.rmtree(plain.directory.parent.parent)
    busy = train(tiny("training.preview_every=3", "training.log_every=1"), root)
    assert busy.manifest.files == plain.manifest.files


def test_the_global_generator_is_left_alone(root: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    train(tiny("backbone.dropout=0.2"), root)
    assert torch.equal(torch.get_rng_state(), before)


def test_parts_of_a_batch_add_up(root: Path) -> None:
    weights = [
        load_file(train(tiny(f"training.microbatches={parts}"), root).directory / "network.safetensors")
        for parts in (1, 3)
    ]
    for name, weight in weights[0].items():
        assert torch.allclose(weight, weights[1][name], atol=2e-4), name


@pytest.mark.slow
def test_training_learns(root: Path) -> None:
    train(tiny("training.steps=150", "training.log_every=25", "training.lr=5e-3"), root)
    run = training_directory(tiny("training.steps=150", "training.lr=5e-3"), root)
    losses = [entry["metrics"]["loss"] for entry in read_journal(run)]
    assert losses[-1] < 0.6 * losses[0]


def test_what_is_not_finite_reaches_no_checkpoint(root: Path) -> None:
    wild = ("training.lr=1e30", "training.max_grad_norm=null", "training.checkpoint_every=1")
    with pytest.raises(NotFiniteError, match="not finite"):
        train(tiny(*wild), root)
    run = training_directory(tiny(*wild), root)
    for directory in (run / "checkpoints").glob("step-*"):
        for weight in load_file(directory / "network.safetensors").values():
            assert torch.isfinite(weight).all()


def test_unprepared_images_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run the prepare stage first"):
        train(tiny(), tmp_path)


def test_a_second_owner_is_refused(root: Path) -> None:
    directory = training_directory(tiny(), root)
    with owned(directory), pytest.raises(StorageError, match=str(os.getpid())):
        train(tiny(), root)


def test_the_averaged_weights_are_loaded_by_default(root: Path) -> None:
    checkpoint = train(tiny(), root)
    for ema, name in ((True, "ema"), (False, "network")):
        stored = load_file(checkpoint.directory / f"{name}.safetensors")
        loaded = Model.load(checkpoint, ema=ema).network.state_dict()
        assert all(torch.equal(stored[key], loaded[key].contiguous()) for key in stored)
