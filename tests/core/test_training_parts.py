from __future__ import annotations

import os
import signal

import pytest
import torch
from torch import nn

from noisette.config import Training
from noisette.machine import threads
from noisette.training.ema import EMA
from noisette.training.rate import learning_rate
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


def test_only_parameters_are_averaged() -> None:
    network = nn.BatchNorm1d(3)
    assert set(EMA(network, 0.9).state()) == {"weight", "bias"}


@pytest.mark.parametrize(
    ("decay", "middle", "last"), [("constant", 1.0, 1.0), ("linear", 0.5, 0.01), ("cosine", 0.5, 0.000247)]
)
def test_the_rate_warms_up_and_decays(decay: str, middle: float, last: float) -> None:
    options = Training.model_validate({"steps": 110, "warmup": 10, "lr": 1.0, "decay": decay})
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
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with threads(None):
        assert torch.get_num_threads() == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with graceful_stop() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop
    finally:
        signal.signal(signal.SIGINT, before)
