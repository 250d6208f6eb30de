"""Training in fp16 with a gradient scaler. CPUs have autocast to fp16 too, which these tests use."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from support.stop_at import StopAt
from support.tiny import tiny

from noisette import Events, Prepared, train
from noisette.journal import read_journal
from noisette.layout import data_directory, training_directory
from noisette.machine import Machine
from noisette.training.batches import Batches
from noisette.training.state import TrainingState
from noisette.training.step import Stepper

FP16 = Machine(torch.device("cpu"), torch.float16, channels_last=True)


def state_of(root: Path, *overrides: str, machine: Machine = FP16) -> TrainingState:
    experiment = tiny(*overrides)
    return TrainingState(experiment, Prepared.open(data_directory(experiment, root)), machine)


def stepper_of(state: TrainingState) -> tuple[Stepper, Batches]:
    return Stepper(state, state.experiment.schedule.process(20)), Batches(state.experiment, state.data)


def weights(state: TrainingState) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in state.network.parameters()]


@pytest.fixture
def fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings compute in fp16 on a CPU."""
    monkeypatch.setattr(Machine, "detect", classmethod(lambda cls, precision="auto": FP16))


def test_a_step_is_that_of_an_unscaled_gradient(root: Path) -> None:
    scaled, plain = state_of(root), state_of(root, machine=FP16)
    plain.scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    norms = []
    for state in (scaled, plain):
        stepper, batches = stepper_of(state)
        norms.append(float(stepper(batches[0])))
    assert norms[0] == pytest.approx(norms[1], rel=1e-2)
    assert scaled.scaler.get_scale() == 65536.0
    exact = state_of(root, machine=Machine.detect("fp32"))
    stepper, batches = stepper_of(exact)
    assert norms[0] == pytest.approx(float(stepper(batches[0])), rel=1e-2)


def test_overflown_gradients_change_no_weight_and_halve_the_scale(root: Path) -> None:
    state = state_of(root, "training.ema_warmup=none")
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    stepper, batches = stepper_of(state)
    before, averaged = weights(state), [weight.clone() for weight in state.emas["ema.safetensors"].weights]
    scales, skipped = [], 0
    while all(torch.equal(a, b) for a, b in zip(before, weights(state), strict=True)):
        assert all(
            torch.allclose(a, b) for a, b in zip(averaged, state.emas["ema.safetensors"].weights, strict=True)
        )
        skipped = state.step
        stepper(batches[state.step])
        scales.append(state.scaler.get_scale())
    assert skipped > 3
    assert scales == [2.0 ** (39 - step) for step in range(skipped)] + [2.0 ** (40 - skipped)]
    assert stepper.pop_skipped() == {"skipped_steps": skipped, "loss_scale": scales[-1]}
    assert stepper.pop_skipped()["skipped_steps"] == 0


def test_after_enough_good_steps_the_scale_doubles_and_a_checkpoint_keeps_count(root: Path, tmp_path: Path) -> None:
    state = state_of(root)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=3)
    stepper, batches = stepper_of(state)
    for _ in range(2):
        stepper(batches[state.step])
    checkpoint = state.save(tmp_path)
    again = state_of(root)
    again.restore(checkpoint)
    assert again.scaler.state_dict() == state.scaler.state_dict()
    stepper, _ = stepper_of(again)
    stepper(batches[2])
    assert again.scaler.get_scale() == 128.0


@pytest.mark.usefixtures("fp16")
def test_a_resumed_run_ends_in_the_same_bits(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scaler = torch.amp.GradScaler

    def impatient(device: str, **options: Any) -> torch.amp.GradScaler:
        return scaler(device, init_scale=2.0**37, growth_interval=2, **options)

    monkeypatch.setattr(torch.amp, "GradScaler", impatient)
    shutil.copytree(root, tmp_path / "other", dirs_exist_ok=True)
    with caplog.at_level(logging.INFO, logger="noisette"):
        whole = train(tiny("training.precision=fp16"), root)
    assert "of 4 steps changed no weight, as their fp16 gradients overflowed; the loss scale is now" in caplog.text
    with pytest.raises(KeyboardInterrupt):
        train(tiny("training.precision=fp16"), tmp_path / "other", events=Events([StopAt(5)]))
    resumed = train(tiny("training.precision=fp16"), tmp_path / "other")
    assert resumed.manifest.files == whole.manifest.files
    assert resumed.about["scaler"] == whole.about["scaler"]
    assert whole.about["precision"] == "fp16"
    metrics = [
        entry["metrics"] for entry in read_journal(training_directory(tiny("training.precision=fp16"), root))
    ]
    assert metrics[0]["skipped_steps"] > 0
    assert metrics[0]["loss_scale"] < 2.0**37


def test_a_cpu_trains_in_fp32_and_says_so_once(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    half = train(tiny("training.precision=fp16"), root)
    assert [record.message for record in caplog.records].count(
        "training.precision=fp16 needs a GPU: training in fp32"
    ) == 1
    single = train(tiny(), root)
    assert half.about["precision"] == "fp32"
    assert half.manifest.files == single.manifest.files
    assert "scaler" not in half.about
