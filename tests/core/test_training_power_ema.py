"""Averages chosen after the training, against the same averages kept all the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.stopping import StopAt
from support.tiny import tiny, write_prepared
from torch import nn

from noisette import CheckpointError, DataError, Events, Model, find_checkpoint, sample, train
from noisette.layout import training_directory
from noisette.training.power_ema import LENGTHS, PowerEMA, averaged, exponent, shares


def test_exponents_are_the_papers() -> None:
    """Karras et al. 2024, section 3.1: lengths 0.05 and 0.10 are gamma 16.97 and 6.94."""
    assert exponent(0.05) == pytest.approx(16.97, abs=0.01)
    assert exponent(0.10) == pytest.approx(6.94, abs=0.01)
    for length in (0.03, 0.15, 0.25):
        gamma = exponent(length)
        assert (gamma + 1) ** 0.5 / ((gamma + 2) * (gamma + 3) ** 0.5) == pytest.approx(length)
    for wrong in (0.0, -0.1, 0.3):
        with pytest.raises(DataError, match=r"at most 0\.28"):
            exponent(wrong)


def walked(steps: int, length: float, network: nn.Linear, seed: int = 0) -> dict[int, torch.Tensor]:
    """Return the average after every step of a random walk of weights."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        network.weight.zero_()
    ema, seen = PowerEMA(network, length), {}
    for step in range(1, steps + 1):
        with torch.no_grad():
            network.weight.add_(torch.randn(network.weight.shape, generator=generator))
        ema.update(step)
        seen[step] = ema.weights[0].clone()
    return seen


def test_the_average_is_the_power_function() -> None:
    seen = walked(50, 0.1, nn.Linear(2, 2, bias=False))
    generator, at, walk = torch.Generator().manual_seed(0), torch.zeros(2, 2), []
    for _ in range(50):
        at = at + torch.randn(2, 2, generator=generator)
        walk.append(at)
    gamma = exponent(0.1)
    t = np.arange(51) / 50
    factors = np.diff(t ** (gamma + 1))  # the integral of the profile over each step
    exact = sum(float(f) * w for f, w in zip(factors, walk, strict=True))
    assert torch.allclose(seen[50], torch.as_tensor(exact), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("length", [0.06, 0.08, 0.12, 0.15])
def test_any_length_comes_out_of_the_snapshots(length: float) -> None:
    network, taken = nn.Linear(20, 20, bias=False), list(range(50, 1001, 50))
    kept = {value: walked(1000, value, network) for value in LENGTHS}
    steps = [step for step in taken for _ in LENGTHS]
    factors = shares(steps, list(LENGTHS) * len(taken), 1000, length)
    parts = [kept[value][step] for step in taken for value in LENGTHS]
    mixed = sum(float(f) * part for f, part in zip(factors, parts, strict=True))
    wanted = walked(1000, length, network)[1000]
    error = float((mixed - wanted).norm() / wanted.norm())
    assert float(factors.sum()) == pytest.approx(1, abs=1e-2)
    nearest = min(float((kept[value][1000] - wanted).norm() / wanted.norm()) for value in LENGTHS)
    assert error < 0.15 * nearest  # control: no snapshot alone is near


def test_a_run_is_averaged_anew_and_draws(tmp_path: Path) -> None:
    experiment = tiny("training.snapshot_every=2", "training.ema=null", "training.steps=20")
    write_prepared(tmp_path, experiment)
    with pytest.raises(KeyboardInterrupt):
        train(experiment, tmp_path, events=Events([StopAt(9)]))
    checkpoint = train(experiment, tmp_path)
    run = training_directory(experiment, tmp_path)
    assert len(list((run / "snapshots").iterdir())) == 10
    same = averaged(checkpoint, 0.1)  # a length that was kept comes back as it was
    kept = load_file(run / "snapshots" / "step-00000020" / "power-0.1.safetensors")
    again = load_file(same.directory / "ema.safetensors")
    assert all(torch.allclose(again[name], kept[name], atol=1e-5) for name in kept)
    longer = averaged(checkpoint, 0.2)
    assert longer.root == tmp_path
    assert find_checkpoint(run / "averaged" / "0.2").digest == longer.digest
    weights = [Model.load(one).network.state_dict() for one in (checkpoint, same, longer)]
    name = next(iter(kept))
    assert not torch.equal(weights[0][name], weights[1][name])
    assert not torch.equal(weights[1][name], weights[2][name])
    samples = sample(experiment, longer, experiment.sampling.samplers[0], tmp_path)
    assert samples.directory.parent.parent == run / "averaged" / "0.2"


def test_without_snapshots_it_says_what_to_do(tmp_path: Path) -> None:
    experiment = tiny()
    write_prepared(tmp_path, experiment)
    with pytest.raises(CheckpointError, match=r"no snapshots up to step 12: train with training\.snapshot_every"):
        averaged(train(experiment, tmp_path), 0.1)
