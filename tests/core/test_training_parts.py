from __future__ import annotations

import os
import signal
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from support.stop_at import StopAt
from support.tiny import tiny
from torch import nn

from noisette import CheckpointError, DataError, Events, Model, Prepared, prepare, sample, train
from noisette.config import Training
from noisette.layout import data_directory
from noisette.machine import Machine, use_threads
from noisette.training.ema import EMA
from noisette.training.optimizer import learning_rate
from noisette.training.state import TrainingState
from noisette.training.stop import graceful_stop


def test_the_average_equals_the_formula() -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    ema = EMA(network, 0.9)
    expected = network.weight.detach().clone().double()
    for step in range(1, 200):
        with torch.no_grad():
            network.weight.add_(torch.randn_like(network.weight))
        ema.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.weight.detach().double()
    assert torch.allclose(ema.state()["weight"].double(), expected, atol=1e-5)


class LibraryEMA:
    """The counters and branches of ema_pytorch 0.8.3's EMA.update, with its defaults."""

    def __init__(self, weight: torch.Tensor, beta: float, every: int) -> None:
        self.weight, self.beta, self.every, self.calls = weight.clone(), beta, every, 0

    def update(self, current: torch.Tensor) -> None:
        before, self.calls = self.calls, self.calls + 1
        is_due = before % self.every == 0
        if before == 0 or (is_due and before <= 100):
            self.weight = current.clone()
        elif is_due:
            epoch = max(self.calls - 100 - 1, 0)
            decay = 0.0 if epoch <= 0 else min(max(1 - (1 + epoch / 1.0) ** -(2 / 3), 0.0), self.beta)
            self.weight = decay * self.weight + (1 - decay) * current


@pytest.mark.parametrize("every", [1, 10, 7, 250])
@pytest.mark.parametrize("beta", [0.9, 0.995])
def test_the_librarys_average_is_ours(every: int, beta: float) -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 2).double()
    ema = EMA(network, beta, "ema_pytorch", every)
    library = LibraryEMA(network.weight.detach(), beta, every)
    for step in range(1, 600):
        with torch.no_grad():
            network.weight.add_(torch.randn_like(network.weight))
        ema.update(step)
        library.update(network.weight.detach())
        assert torch.allclose(ema.weights[0], library.weight, atol=1e-12), step


def test_without_warmup_every_third_step_counts_alike() -> None:
    network = nn.Linear(1, 1, bias=False).double()
    ema, expected = EMA(network, 0.75, "none", 3), network.weight.item()
    for step in range(1, 12):
        with torch.no_grad():
            network.weight.fill_(float(step))
        ema.update(step)
        if step in (1, 4, 7, 10):
            expected = 0.75 * expected + 0.25 * step
        assert float(ema.weights[0]) == pytest.approx(expected, abs=1e-12)


def test_the_options_of_the_average_reach_the_training(root: Path) -> None:
    steps = {
        step: load_file(train(tiny(f"training.steps={step}"), root).directory / "network.safetensors")
        for step in range(1, 5)
    }
    options = (
        "training.steps=4",
        "training.ema_decay=0.5",
        "training.ema_warmup=none",
        "training.ema_update_every=2",
    )
    found = load_file(train(tiny(*options), root).directory / "ema.safetensors")
    start = TrainingState(tiny(), Prepared.open(data_directory(tiny(), root)), Machine.detect("fp32")).network
    for name, weight in start.state_dict().items():
        expected = 0.25 * weight + 0.25 * steps[1][name] + 0.5 * steps[3][name]
        assert torch.allclose(found[name], expected, atol=1e-6)


def test_only_parameters_are_averaged() -> None:
    network = nn.BatchNorm1d(3)
    assert set(EMA(network, 0.9).state()) == {"weight", "bias"}


@pytest.mark.parametrize(
    ("decay", "middle", "last"), [("constant", 1.0, 1.0), ("linear", 0.5, 0.01), ("cosine", 0.5, 0.000247)]
)
def test_the_rate_warms_up_and_decays(decay: str, middle: float, last: float) -> None:
    options = Training.model_validate({"steps": 110, "lr_warmup_steps": 10, "lr": 1.0, "lr_schedule": decay})
    assert learning_rate(options, 0) == pytest.approx(0.1)
    assert learning_rate(options, 9) == pytest.approx(1.0)
    assert learning_rate(options, 10) == pytest.approx(1.0)
    assert learning_rate(options, 60) == pytest.approx(middle)
    assert learning_rate(options, 109) == pytest.approx(last, rel=1e-2)


def test_a_signal_waits_for_the_end_of_the_block_and_then_acts() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt), graceful_stop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGINT
        reached = True
    assert reached


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with graceful_stop():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_threads_are_used_inside_the_block_only() -> None:
    before = torch.get_num_threads()
    with use_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with use_threads(None):
        assert torch.get_num_threads() == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with graceful_stop() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop.requested
    finally:
        signal.signal(signal.SIGINT, before)


def test_several_decays_are_averaged_kept_resumed_and_drawn_with(root: Path) -> None:
    experiment = tiny("training.ema_decay=[0.9, 0.5]", "sampling.ema=0.5")
    with pytest.raises(KeyboardInterrupt):
        train(experiment, root, events=Events([StopAt(7)]))
    checkpoint = train(experiment, root)
    single = {decay: train(tiny(f"training.ema_decay={decay}"), root) for decay in (0.9, 0.5)}
    for decay, file in ((0.9, "ema.safetensors"), (0.5, "ema-0.5.safetensors")):
        kept, alone = load_file(checkpoint.directory / file), load_file(single[decay].directory / "ema.safetensors")
        assert all(torch.equal(kept[name], alone[name]) for name in alone)
    sampler = experiment.sampling.samplers[0]
    drawn = {
        ema: sample(tiny("training.ema_decay=[0.9, 0.5]", f"sampling.ema={ema}"), checkpoint, sampler, root)
        for ema in ("0.5", "true", "false")
    }
    assert [drawn[ema].about["ema"] for ema in ("0.5", "true", "false")] == [0.5, True, False]
    assert len({samples.digest for samples in drawn.values()}) == 3
    with pytest.raises(CheckpointError, match=r"averaged with decay 0\.7; it has 0\.9, 0\.5"):
        Model.load(checkpoint, ema=0.7)


def test_networks_are_built_without_a_look_at_gpus(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forked: list[list[int] | None] = []
    fork = torch.random.fork_rng

    def told(devices: list[int] | None = None) -> AbstractContextManager[None]:
        forked.append(devices)
        return fork(devices=[])

    monkeypatch.setattr("torch.random.fork_rng", told)
    monkeypatch.setattr("torch.manual_seed", lambda seed: pytest.fail("seeds the generators of all GPUs"))
    experiment = tiny()
    data, machine = Prepared.open(data_directory(experiment, root)), Machine.detect("fp32")
    before = torch.get_rng_state()
    state = TrainingState(experiment, data, machine)
    checkpoint = state.save(root / "run")
    Model.load(checkpoint)
    assert forked == [[], []]
    assert torch.equal(torch.get_rng_state(), before)
    again = TrainingState(experiment, data, machine)
    assert all(
        torch.equal(a, b) for a, b in zip(state.network.parameters(), again.network.parameters(), strict=True)
    )


def test_labels_that_the_images_have_not_are_not_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(40):
        Image.new("L", (8, 8), number).save(folder / f"{number}.png")
    experiment = tiny(f"dataset={{name: image-folder, path: {folder}}}", "training.class_conditional=true")
    prepare(experiment, tmp_path)
    with pytest.raises(
        DataError, match=r"training\.class_conditional: expected a dataset with classes; image-folder has none"
    ):
        train(experiment, tmp_path)
    assert train(tiny(f"dataset={{name: image-folder, path: {folder}}}"), tmp_path).step == 12
