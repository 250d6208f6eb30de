from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.tiny import tiny, write_prepared
from torch import nn

from noisette import DataError, train
from noisette.training.oom import more_microbatches
from noisette.training.step import LossMeter
from noisette_plugins.backbones.unet_network import UNetNetwork


def test_means_of_batches_and_of_the_quarters_of_the_process() -> None:
    losses = LossMeter(10, torch.device("cpu"))
    losses.add(torch.tensor(2.0), torch.tensor([0, 2, 9]), torch.tensor([1.0, 3.0, 5.0]))
    losses.add(torch.tensor(4.0), torch.tensor([3, 7]), torch.tensor([7.0, 9.0]))
    assert len(losses) == 2
    assert losses.pop_means() == {"loss": 3.0, "loss_q0": 2.0, "loss_q1": 7.0, "loss_q2": 9.0, "loss_q3": 5.0}
    assert len(losses) == 0
    losses.add(torch.tensor(1.0), torch.tensor([5]), torch.tensor([1.0]))
    assert losses.pop_means() == {"loss": 1.0, "loss_q2": 1.0}


class Cramped:
    """A memory in which so many images fit."""

    def __init__(self, most: int, error: type[RuntimeError] = torch.OutOfMemoryError) -> None:
        self.most, self.error, self.sizes = most, error, list[int]()
        self.forward = UNetNetwork.forward

    def __call__(self, network: nn.Module, x: torch.Tensor, *rest: object) -> torch.Tensor:
        if network.training:
            self.sizes.append(len(x))
            if len(x) > self.most:
                raise self.error("CUDA out of memory. Tried to allocate 2 GiB")
        return self.forward(network, x, *rest)  # type: ignore[arg-type]


def test_a_batch_that_is_too_large_is_taken_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = tiny("training.steps=3", "training.microbatches=4")
    write_prepared(tmp_path, experiment)
    expected = load_file(train(experiment, tmp_path).directory / "network.safetensors")
    cramped = Cramped(2)
    monkeypatch.setattr(UNetNetwork, "forward", lambda *arguments: cramped(*arguments))
    with caplog.at_level(logging.WARNING):
        came = load_file(train(tiny("training.steps=3"), tmp_path).directory / "network.safetensors")
    assert cramped.sizes == [8, 4, *[2] * 12]  # it does not try again what did not fit
    assert all(torch.equal(expected[name], came[name]) for name in expected)
    assert "using 4 (set training.microbatches=4" in caplog.text


def test_what_does_not_fit_at_all_and_other_errors_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny("training.steps=3")
    write_prepared(tmp_path, experiment)
    cramped = Cramped(0)
    monkeypatch.setattr(UNetNetwork, "forward", lambda *arguments: cramped(*arguments))
    with pytest.raises(DataError, match="a single image does not fit into memory"):
        train(experiment, tmp_path)
    assert cramped.sizes == [8, 4, 2, 1]
    with pytest.raises(RuntimeError, match="shapes"):
        more_microbatches(RuntimeError("shapes do not fit"), 1, 8)
    assert more_microbatches(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 2, 3) == 3
