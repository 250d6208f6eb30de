from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from noisette import Noise
from noisette.diffusion import derive_seed
from noisette.diffusion.noise import seeded_generator

SHAPE = (2, 3, 3)


def draws(indices: list[int], times: int = 3, seed: int = 0) -> Tensor:
    """Return all draws of some images, (N, times, *SHAPE)."""
    noise = Noise(seed, indices, SHAPE)
    return torch.stack([noise() for _ in range(times)], dim=1)


ALL = draws(list(range(12)))


@given(st.permutations(range(12)), st.lists(st.integers(1, 11), max_size=5))
def test_a_image_has_its_bits_whatever_the_split_or_the_order(order: list[int], cuts: list[int]) -> None:
    edges = [0, *sorted(set(cuts)), 12]
    for start, end in pairwise(edges):
        batch = order[start:end]
        assert torch.equal(draws(batch), ALL[batch])


@pytest.mark.parametrize("shape", [(1,), (7,), (15,), (16,), (17,), (3, 32, 32)])
def test_small_and_large_images_alike(shape: tuple[int, ...]) -> None:
    """torch fills short and long rows by different code."""
    whole = Noise(5, range(4), shape)()
    assert all(torch.equal(Noise(5, [index], shape)()[0], whole[index]) for index in range(4))


def test_images_draws_and_seeds_differ() -> None:
    everything = torch.cat([ALL.flatten(0, 1), draws(list(range(12)), seed=1).flatten(0, 1)]).flatten(1)
    distances = torch.cdist(everything, everything) + 99 * torch.eye(len(everything))
    assert distances.min() > 0.5


def test_it_is_standard_normal() -> None:
    sample = Noise(0, range(500), (1, 20, 20))()
    n = sample.numel()
    assert abs(sample.mean().item()) < 4 / n**0.5
    assert abs(sample.var().item() - 1) < 4 * (2 / n) ** 0.5
    between = sample.flatten(1).mean(dim=1)
    assert abs(between.var().item() * 400 - 1) < 4 * (2 / 500) ** 0.5


def test_the_global_generators_are_neither_read_nor_moved() -> None:
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    torch.manual_seed(1)
    first = draws([3])
    torch.manual_seed(2)
    assert torch.equal(draws([3]), first)
    torch.random.set_rng_state(states[0])
    draws([4])
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_every_precision_rounds_the_same_numbers(dtype: torch.dtype) -> None:
    noise = Noise(0, [3], SHAPE, dtype=dtype)()
    assert noise.dtype == dtype
    assert torch.equal(noise, ALL[[3], 0].to(dtype))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_every_device_has_the_same_numbers() -> None:
    noise = Noise(0, [3], SHAPE, device="cuda")()
    assert noise.is_cuda
    assert torch.equal(noise.cpu(), ALL[[3], 0])


def test_images_stay_the_same_from_version_to_version() -> None:
    """The numbers are this code's own, with torch 2.15: other ones would mean other images for every old seed."""
    assert derive_seed(0, "picture", 17) == 4039810007115692424
    assert Noise(0, [17], (3,))()[0].tolist() == pytest.approx([1.9800117, 0.2628243, -0.8039083], abs=1e-6)


def test_seeds_of_other_purposes_and_neighbours_are_unrelated() -> None:
    seeds = {derive_seed(seed, purpose, index) for seed in range(20) for purpose in "ab" for index in range(20)}
    assert len(seeds) == 800
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, 23) != derive_seed(12, 3)


def test_a_seeded_generator_starts_the_same_each_time() -> None:
    first, again, other = (torch.randn(3, generator=seeded_generator(0, word)) for word in ("a", "a", "b"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
