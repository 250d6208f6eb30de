"""What the probes see, and that they put back what they touch."""

from __future__ import annotations

import random
import socket
import urllib.request
from collections.abc import Callable

import numpy as np
import pytest
import torch

from noisette.testing import Check
from noisette.testing.probes import is_bit_equal, offline, require_same_random_state
from noisette_plugins.schedules import Linear


def states() -> tuple[object, ...]:
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("torch", lambda: torch.rand(1)),
        ("torch", lambda: torch.manual_seed(0)),
        ("numpy", lambda: np.random.rand()),
        ("random", random.random),
        ("random", lambda: random.seed(0)),
    ],
)
def test_use_of_a_global_generator_is_seen_and_undone(name: str, use: Callable[[], object]) -> None:
    use()
    before = states()
    with (
        pytest.raises(AssertionError, match=f"global random state of {name} after this: expected unchanged"),
        require_same_random_state(Linear(), "this"),
    ):
        use()
    assert states() == before


def test_own_generators_are_welcome() -> None:
    before = states()
    with require_same_random_state(Linear(), "this"):
        torch.rand(1, generator=torch.Generator().manual_seed(0))
        np.random.default_rng(0).normal()
        random.Random(0).random()
    assert states() == before


def test_offline_refuses_every_connection_and_ends() -> None:
    connect = socket.socket.connect
    with offline():
        with pytest.raises(OSError, match="no connection"):
            socket.create_connection(("127.0.0.1", 9), timeout=1)
        with pytest.raises(OSError, match="no connection"):
            urllib.request.urlopen("http://localhost:9/")
    assert socket.socket.connect is connect


def test_same_bits_compares_values_shapes_and_types() -> None:
    x = torch.tensor([1.0, float("nan"), float("inf")])
    assert is_bit_equal(x, x.clone())
    assert not is_bit_equal(x, torch.tensor([1.0, 0.0, float("inf")]))
    assert not is_bit_equal(x, x.double())
    assert not is_bit_equal(x, x[None])
    assert is_bit_equal(torch.tensor([1, 2], dtype=torch.uint8), torch.tensor([1, 2], dtype=torch.uint8))


def test_checks_compute_on_one_core_and_give_the_others_back() -> None:
    # With as many threads as cores, a sampler's checks took 250 s instead of 6 on a busy machine.
    seen: list[int] = []
    before = torch.get_num_threads()
    Check("counts-threads", lambda plugin: seen.append(torch.get_num_threads()))(Linear())
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        Check("fails", lambda plugin: 1 / 0 if seen == [1] else None)(Linear())
    assert torch.get_num_threads() == before
