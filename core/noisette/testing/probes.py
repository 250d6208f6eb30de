"""Probes for side effects of a plugin: random state, connections and devices."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from noisette.contracts import Plugin
from noisette.testing.check import require

__all__ = [
    "devices",
    "find_seeded_generators",
    "is_bit_equal",
    "iter_layouts",
    "offline",
    "require_finite",
    "require_same_bits",
    "require_same_random_state",
    "seed_globally",
]


def is_bit_equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal in every bit; NaN equals itself."""
    return a.dtype == b.dtype and a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


def require_same_bits(
    plugin: Plugin, what: str, expected: Tensor, actual: Tensor, wanted: str = "the same bits"
) -> None:
    """Require that a tensor is equal to another in every bit."""
    alike = expected.shape == actual.shape
    off = f"values up to {float((expected - actual).abs().max()):.2g} apart" if alike else tuple(actual.shape)
    require(is_bit_equal(expected, actual), plugin, what, wanted, off)


def require_finite(plugin: Plugin, what: str, *tensors: Tensor) -> None:
    """Require that no tensor has a NaN or an infinity."""
    finite = all(bool(one.isfinite().all()) for one in tensors)
    require(finite, plugin, what, "finite values", "NaN or infinity", cause="not finite")


def iter_layouts(images: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield equal tensors (N, C, H, W) with other layouts in memory, and what these are."""
    yield "channels last", images.contiguous(memory_format=torch.channels_last)
    yield "with gaps", torch.stack([images, images], dim=-1)[..., 0]


def devices() -> Iterator[torch.device]:
    """Yield the devices to try besides the CPU: "meta", and CUDA if available."""
    yield torch.device("meta")
    if torch.cuda.is_available():
        yield torch.device("cuda")


@contextmanager
def require_same_random_state(plugin: Plugin, what: str) -> Iterator[None]:
    """Require that the block does not change the global generators of torch, NumPy and Python.

    They have unusual states in the block; the original states are restored afterwards.
    """
    kept = {name: get() for name, (get, _) in _GENERATORS.items()}
    for name, seed in _SEEDS.items():
        seed(1_860_867 + len(name))
    before = {name: _serialize_state(get()) for name, (get, _) in _GENERATORS.items()}
    try:
        yield
        for name, (get, _) in _GENERATORS.items():
            same = _serialize_state(get()) == before[name]
            actual = "changed: the global generator was used or seeded"
            require(same, plugin, f"global random state of {name} after {what}", "unchanged", actual)
    finally:
        for name, (_, put) in _GENERATORS.items():
            put(kept[name])


@contextmanager
def seed_globally(seed: int) -> Iterator[None]:
    """Seed the global generators of torch, NumPy and Python for the block, and restore them afterwards."""
    kept = {name: get() for name, (get, _) in _GENERATORS.items()}
    try:
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        yield
    finally:
        for name, (_, put) in _GENERATORS.items():
            put(kept[name])


def find_seeded_generators(act: Callable[[], object]) -> list[str]:
    """Return the global generators that `act` seeds: their next number is the same under any seed."""
    numbers = []
    for seed in (1, 2):
        with seed_globally(seed):
            act()
            numbers.append({"torch": float(torch.rand(1)), "numpy": np.random.rand(), "random": random.random()})
    return [name for name in numbers[0] if numbers[0][name] == numbers[1][name]]


@contextmanager
def offline() -> Iterator[None]:
    """Refuse all connections within the block."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError("no connection: the checks run offline")

    with mock.patch.object(socket.socket, "connect", refuse), mock.patch.object(socket, "getaddrinfo", refuse):
        yield


_GENERATORS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch": (torch.get_rng_state, torch.set_rng_state),
    "numpy": (np.random.get_state, np.random.set_state),
    "random": (random.getstate, random.setstate),
}

_SEEDS: dict[str, Callable[[int], Any]] = {
    "torch": lambda seed: torch.set_rng_state(torch.Generator().manual_seed(seed).get_state()),
    "numpy": np.random.seed,
    "random": random.seed,
}


def _serialize_state(state: Any) -> str:
    parts = [state] if isinstance(state, Tensor) else state
    return repr([part.tolist() if isinstance(part, Tensor | np.ndarray) else part for part in parts])
