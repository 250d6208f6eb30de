from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.tiny import tiny
from torch import Tensor, nn

from noisette import ConfigError, DataError, Prepared
from noisette.config import Training
from noisette.layout import data_directory
from noisette.machine import Machine
from noisette.training.batches import Batches
from noisette.training.optimizer import learning_rate, make_optimizer
from noisette.training.state import TrainingState
from noisette.training.step import Stepper

STEP = """
import sys, torch
from noisette.config import Training
from noisette.training.optimizer import make_optimizer
weight = torch.nn.Parameter(torch.ones(3, 3))
optimizer = {make}
optimizer.zero_grad()
weight.sum().backward()
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        *((f"make_optimizer(Training(optimizer='{name}'), [weight])", "False") for name in ("adamw", "muon")),
        ("torch.optim.AdamW([weight])", "True"),
    ],
)
def test_a_step_does_not_import_the_compiler(make: str, expected: str) -> None:
    call = [sys.executable, "-c", STEP.format(make=make)]
    assert subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip() == expected


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.linear = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.convolution(x).mean((2, 3)))


def after_steps(make: Callable[[nn.Module], list[torch.optim.Optimizer]], count: int = 5) -> list[Tensor]:
    """Return the weights of a small network after some steps."""
    torch.manual_seed(0)
    network = Net()
    optimizers = make(network)
    for _ in range(count):
        network.zero_grad()
        network(torch.randn(6, 1, 5, 5)).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
    return list(network.parameters())


ADAM = {"lr": 0.1, "weight_decay": 0.2, "betas": (0.8, 0.9), "eps": 1e-3}
OPTIONS = {"lr": 0.1, "weight_decay": 0.2}
TORCHS: dict[str, Callable[[Any], list[torch.optim.Optimizer]]] = {
    "adamw": lambda weights: [torch.optim.AdamW(weights, fused=True, **ADAM)],
    "adam": lambda weights: [torch.optim.Adam(weights, fused=True, **ADAM)],
    "radam": lambda weights: [torch.optim.RAdam(weights, **ADAM)],
    "nadam": lambda weights: [torch.optim.NAdam(weights, **ADAM)],
    "sgd": lambda weights: [torch.optim.SGD(weights, momentum=0.6, fused=True, **OPTIONS)],
    "adafactor": lambda weights: [torch.optim.Adafactor(weights, **OPTIONS)],
    "muon": lambda weights: [
        torch.optim.Muon([weights[2]], momentum=0.6, adjust_lr_fn="match_rms_adamw", **OPTIONS),
        torch.optim.AdamW([weights[0], weights[1], weights[3]], fused=True, **ADAM),
    ],
}


def options_of(name: str) -> Training:
    adam = {} if name in ("sgd", "adafactor") else {"adam_betas": (0.8, 0.9), "adam_eps": 1e-3}
    momentum = {"momentum": 0.6} if name in ("sgd", "muon") else {}
    return Training.model_validate({"optimizer": name, **OPTIONS, **adam, **momentum})


@pytest.mark.parametrize("name", TORCHS)
def test_it_steps_as_torchs_does(name: str) -> None:
    ours = after_steps(lambda network: [make_optimizer(options_of(name), network.parameters())])
    true = after_steps(lambda network: TORCHS[name](list(network.parameters())))
    start = after_steps(lambda network: [], 0)
    assert all(torch.equal(a, b) for a, b in zip(ours, true, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(ours, start, strict=True))


@pytest.mark.parametrize("eps", [1e-7, 0.1])
def test_adam_is_the_papers_formula(eps: float) -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    options = Training(optimizer="adam", lr=0.1, adam_betas=(0.5, 0.7), adam_eps=eps)
    optimizer = make_optimizer(options, [weight])
    expected, m, v = weight.detach().numpy().copy(), np.zeros(2), np.zeros(2)
    for t in range(1, 8):
        gradient = np.array([0.3 * t, -1e-3])
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        m, v = 0.5 * m + 0.5 * gradient, 0.7 * v + 0.3 * gradient**2
        expected -= 0.1 * (m / (1 - 0.5**t)) / (np.sqrt(v / (1 - 0.7**t)) + eps)
    assert weight.detach().numpy() == pytest.approx(expected, abs=1e-12)


def state_of(root: Path, name: str) -> TrainingState:
    momentum = ["training.momentum=0.9"] if name == "sgd" else []
    experiment = tiny(f"training.optimizer={name}", *momentum)
    data = Prepared.open(data_directory(experiment, root))
    return TrainingState(experiment, data, Machine.detect("fp32"))


@pytest.mark.parametrize("name", TORCHS)
def test_a_restored_optimizer_goes_on_alike(root: Path, tmp_path: Path, name: str) -> None:
    state = state_of(root, name)
    process, batches = state.experiment.schedule.process(20), Batches(state.experiment, state.data)
    stepper = Stepper(state, process)
    for step in range(3):
        stepper(batches[step])
    checkpoint = state.save(tmp_path)
    stepper(batches[3])
    again = state_of(root, name)
    again.restore(checkpoint)
    assert again.save(tmp_path / "again").manifest.files == checkpoint.manifest.files
    Stepper(again, process)(batches[3])
    for (key, a), b in zip(state.network.named_parameters(), again.network.parameters(), strict=True):
        assert torch.equal(a, b), key


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer=adma"], "did you mean 'adam'?"),
        (["momentum=0.9"], "needs training.optimizer=sgd or muon; adamw has no such option"),
        (["optimizer=sgd", "adam_eps=1e-3"], "needs another training.optimizer; sgd has no such option"),
        (["optimizer=adafactor", "adam_betas=[.1, .2]"], "needs another training.optimizer; adafactor has no such"),
        (["precision=fp16", "parallel=fsdp"], "fsdp needs training.precision=bf16 or fp32; got fp16"),
        (["optimizer=muon", "parallel=fsdp"], "fsdp needs training.optimizer=adamw or adam; got muon"),
    ],
)
def test_options_that_do_not_go_together_are_explained(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        tiny(*(f"training.{override}" for override in overrides))


def test_a_torch_without_the_optimizer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(DataError, match=f"torch {re.escape(torch.__version__)} has no Muon: use a newer one"):
        make_optimizer(Training(optimizer="muon"), Net().parameters())


@pytest.mark.parametrize(("drop_last", "epoch_steps"), [("true", 234), ("false", 235)])
def test_the_rate_falls_by_epoch(drop_last: str, epoch_steps: int) -> None:
    options = Training.model_validate(
        {"steps": 20 * epoch_steps, "batch_size": 256, "lr": 1e-4, "drop_last": drop_last, **BY_EPOCH}
    )
    rates = [learning_rate(options, step, 60_000) for step in range(options.steps)]
    expected = [1e-4 * (1 - epoch / 20) for epoch in range(20) for _ in range(epoch_steps)]
    assert rates == pytest.approx(expected, rel=1e-12)


def test_by_epoch_a_batch_in_two_epochs_counts_for_the_first() -> None:
    options = Training.model_validate({"steps": 15, "batch_size": 8, "lr": 1.0, **BY_EPOCH})
    rates = [learning_rate(options, step, 40) for step in range(15)]
    assert rates == pytest.approx([1.0] * 5 + [2 / 3] * 5 + [1 / 3] * 5)
    uneven = [learning_rate(options, step, 30) for step in range(15)]  # steps start at images 0, 8, 16, 24, 32, ...
    assert uneven == pytest.approx([1 - (8 * step // 30) / 4 for step in range(15)])


BY_EPOCH = {"lr_schedule": "linear-by-epoch"}
