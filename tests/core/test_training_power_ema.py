"""Averages chosen after the training, against the same averages kept all the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.stop_at import StopAt
from support.tiny import tiny, write_prepared
from torch import nn

from noisette import CheckpointError, DataError, Events, Model, find_checkpoint, sample, train
from noisette.checkpoint import Checkpoint
from noisette.layout import training_directory
from noisette.model.weights import export_inference_checkpoint
from noisette.training.posthoc_ema import (
    SIGMA_RELS,
    PowerEMA,
    reconstruct_ema,
    sigma_rel_to_gamma,
    solve_coefficients,
)


def test_exponents_are_the_papers() -> None:
    """Karras et al. 2024, section 3.1: lengths 0.05 and 0.10 are gamma 16.97 and 6.94."""
    assert sigma_rel_to_gamma(0.05) == pytest.approx(16.97, abs=0.01)
    assert sigma_rel_to_gamma(0.10) == pytest.approx(6.94, abs=0.01)
    for length in (0.03, 0.15, 0.25):
        gamma = sigma_rel_to_gamma(length)
        assert (gamma + 1) ** 0.5 / ((gamma + 2) * (gamma + 3) ** 0.5) == pytest.approx(length)
    for wrong in (0.0, -0.1, 0.3):
        with pytest.raises(DataError, match=r"at most 0\.28"):
            sigma_rel_to_gamma(wrong)


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
    gamma = sigma_rel_to_gamma(0.1)
    t = np.arange(51) / 50
    factors = np.diff(t ** (gamma + 1))  # the integral of the profile over each step
    exact = sum(float(f) * w for f, w in zip(factors, walk, strict=True))
    assert torch.allclose(seen[50], torch.as_tensor(exact), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("length", [0.06, 0.08, 0.12, 0.15])
def test_any_length_comes_out_of_the_snapshots(length: float) -> None:
    network, taken = nn.Linear(20, 20, bias=False), list(range(50, 1001, 50))
    kept = {value: walked(1000, value, network) for value in SIGMA_RELS}
    steps = [step for step in taken for _ in SIGMA_RELS]
    factors = solve_coefficients(steps, list(SIGMA_RELS) * len(taken), 1000, length)
    parts = [kept[value][step] for step in taken for value in SIGMA_RELS]
    mixed = sum(float(f) * part for f, part in zip(factors, parts, strict=True))
    wanted = walked(1000, length, network)[1000]
    error = float((mixed - wanted).norm() / wanted.norm())
    assert float(factors.sum()) == pytest.approx(1, abs=1e-12)
    nearest = min(float((kept[value][1000] - wanted).norm() / wanted.norm()) for value in SIGMA_RELS)
    assert error < 0.15 * nearest  # control: no snapshot alone is near


@pytest.mark.parametrize("length", [0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.28])
@pytest.mark.parametrize(
    "taken", [(1000, 2000, 3000, 4000, 5000), (1000, 2000), (400, 800, 1200, 1600, 1900), (7,)]
)
def test_a_weight_that_never_changes_is_its_own_average(taken: tuple[int, ...], length: float) -> None:
    factors = solve_coefficients(
        [step for step in taken for _ in SIGMA_RELS], list(SIGMA_RELS) * len(taken), taken[-1], length
    )
    assert float(factors.sum()) == pytest.approx(1, abs=1e-12)


def test_a_checkpoint_between_two_snapshots_is_averaged_up_to_its_own_step() -> None:
    """Snapshots every 400 steps and a checkpoint at 1900: without its own averages the mean is far off."""
    network, length, end = nn.Linear(20, 20, bias=False), 0.07, 1900
    kept = {value: walked(end, value, network) for value in SIGMA_RELS}
    wanted = walked(end, length, network)[end]

    def error(taken: list[int]) -> float:
        factors = solve_coefficients(
            [step for step in taken for _ in SIGMA_RELS], list(SIGMA_RELS) * len(taken), end, length
        )
        parts = [kept[value][step] for step in taken for value in SIGMA_RELS]
        mixed = sum(float(factor) * part for factor, part in zip(factors, parts, strict=True))
        return float((mixed - wanted).norm() / wanted.norm())

    assert error([400, 800, 1200, 1600, end]) < 0.03
    assert error([400, 800, 1200, 1600]) > 0.15


def test_a_run_is_averaged_anew_and_draws(tmp_path: Path) -> None:
    experiment = tiny("training.ema_snapshot_every=2", "training.ema_decay=null", "training.steps=20")
    write_prepared(tmp_path, experiment)
    with pytest.raises(KeyboardInterrupt):
        train(experiment, tmp_path, events=Events([StopAt(9)]))
    checkpoint = train(experiment, tmp_path)
    run = training_directory(experiment, tmp_path)
    assert len(list((run / "snapshots").iterdir())) == 10
    same = reconstruct_ema(checkpoint, 0.1)  # a length that was kept comes back as it was
    kept = load_file(run / "snapshots" / "step-00000020" / "power-0.1.safetensors")
    again = load_file(same.directory / "ema.safetensors")
    assert all(torch.allclose(again[name], kept[name], atol=1e-5) for name in kept)
    longer = reconstruct_ema(checkpoint, 0.2)
    assert longer.root == tmp_path
    assert find_checkpoint(run / "averaged" / "0.2").digest == longer.digest
    weights = [Model.load(one).network.state_dict() for one in (checkpoint, same, longer)]
    name = next(iter(kept))
    assert not torch.equal(weights[0][name], weights[1][name])
    assert not torch.equal(weights[1][name], weights[2][name])
    samples = sample(experiment, longer, experiment.sampling.samplers[0], tmp_path)
    assert samples.directory.parent.parent == run / "averaged" / "0.2"


def own_average(checkpoint: Checkpoint, length: float) -> dict[str, torch.Tensor]:
    return load_file(checkpoint.directory / f"power-{length}.safetensors")


def test_any_checkpoint_is_averaged_up_to_its_own_step(tmp_path: Path) -> None:
    """Last, best and stopped, all between two snapshots: the length that was kept comes back as it was."""
    watched = ("training.evaluate_every=3", "training.evaluate_images=6", "evaluation.metrics=[held-out-loss]")
    experiment = tiny("training.ema_snapshot_every=4", "training.steps=11", *watched)
    write_prepared(tmp_path, experiment)
    run = training_directory(experiment, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(experiment, tmp_path, events=Events([StopAt(6)]))
    stopped = find_checkpoint(run)
    made = {stopped.step: reconstruct_ema(stopped, 0.1)}
    assert stopped.step == 6
    wanted = {6: own_average(stopped, 0.1)}
    last = train(experiment, tmp_path)
    for checkpoint in (last, find_checkpoint(run / "best")):
        made[checkpoint.step] = reconstruct_ema(checkpoint, 0.1)
        wanted[checkpoint.step] = own_average(checkpoint, 0.1)
    assert len(made) == 3
    for step, tensors in wanted.items():
        mixed = load_file(made[step].directory / "ema.safetensors")
        assert all(torch.allclose(mixed[name], weight, atol=1e-5) for name, weight in tensors.items())
    assert made[last.step].run == run / "averaged" / "0.1"
    assert not all(torch.allclose(wanted[11][name], wanted[6][name], atol=1e-5) for name in wanted[6])  # control


def test_a_checkpoint_without_its_averages_is_refused(tmp_path: Path) -> None:
    experiment = tiny("training.ema_snapshot_every=4")
    write_prepared(tmp_path, experiment)
    slimmed = export_inference_checkpoint(
        train(experiment, tmp_path), tmp_path / "slim" / "checkpoints" / "step-00000012"
    )
    with pytest.raises(CheckpointError, match=r"expected the averages of step 12, .*; there are none"):
        reconstruct_ema(slimmed, 0.1)


def test_without_snapshots_it_says_what_to_do(tmp_path: Path) -> None:
    experiment = tiny()
    write_prepared(tmp_path, experiment)
    checkpoint = train(experiment, tmp_path)
    with pytest.raises(CheckpointError, match=r"there are none\. Train with training\.ema_snapshot_every"):
        reconstruct_ema(checkpoint, 0.1)
    with pytest.raises(DataError, match=r"at most 0\.28"):
        reconstruct_ema(checkpoint, 0.5)
