"""Ways to see what a plugin touched that it should have left alone."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from noisette.contracts import Plugin, Sampler
from noisette.diffusion import Denoiser, Noise
from noisette.testing.check import require

__all__ = ["devices", "global_random_state_kept", "offline", "same_bits", "start", "walk"]


def walk(sampler: Sampler, denoise: Denoiser, x: Tensor, noise: Noise) -> list[Tensor]:
    """Return all states that a sampler yields."""
    with torch.no_grad():
        states = list(sampler.trajectory(denoise, x, noise))
    require(bool(states), sampler, "states of a walk", "one after each step", "none")
    return states


def start(count: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    """Return noise to start from, (N, *shape); always the same."""
    return torch.randn(count, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(dtype)


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal in every bit; NaN equals itself."""
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())


def devices() -> Iterator[torch.device]:
    """Yield the devices to try beside the CPU: "meta", which refuses to mix with it, and CUDA if there is one."""
    yield torch.device("meta")
    if torch.cuda.is_available():
        yield torch.device("cuda")


@contextmanager
def global_random_state_kept(plugin: Plugin, what: str) -> Iterator[None]:
    """Require that the block leaves the global generators of torch, NumPy and Python as they were."""
    before = dict(_states())
    yield
    for name, state in _states():
        require(
            state == before[name], plugin, f"global random state of {name} after {what}", "unchanged", "another"
        )


@contextmanager
def offline() -> Iterator[None]:
    """Refuse every connection in the block."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError("no connection: the checks read nothing from the network")

    with mock.patch.object(socket.socket, "connect", refuse), mock.patch.object(socket, "getaddrinfo", refuse):
        yield


def _states() -> Iterable[tuple[str, bytes]]:
    yield "torch", torch.get_rng_state().numpy().tobytes()
    yield "numpy", repr([np.asarray(part).tolist() for part in np.random.get_state()]).encode()
    yield "random", repr(random.getstate()).encode()
    if torch.cuda.is_available():
        yield "torch.cuda", torch.cuda.get_rng_state().numpy().tobytes()
