"""Whether a sampler uses only the given noise, is reproducible, and leaves no noise in the image."""

from __future__ import annotations

import torch
from pydantic import ValidationError
from torch import Tensor

from noisette.contracts import Sampler
from noisette.diffusion import Clipped, Noise
from noisette.testing import processes
from noisette.testing.check import Skip, require
from noisette.testing.checks.samplers import _SHAPE, COMMON, _describe_error, with_steps
from noisette.testing.distributions import Gaussian
from noisette.testing.exact import AffineDenoiser, ExactDenoiser
from noisette.testing.noises import BatchNoise, SwitchableNoise
from noisette.testing.options import combinations, format_plugin
from noisette.testing.probes import (
    initial_noise,
    is_bit_equal,
    require_same_random_state,
    run_sampler,
    seed_globally,
)


def check_leaves_global_random_state_alone(plugin: Sampler) -> None:
    """The global generators of torch, NumPy and Python are not used or seeded."""
    for sampler in combinations(with_steps(plugin, 4), exclude=COMMON):
        x = initial_noise(2, _SHAPE)
        with require_same_random_state(sampler, "a trajectory"):
            run_sampler(sampler, AffineDenoiser(processes.linear()), x, BatchNoise(0, x))


def check_same_seed_same_bits(plugin: Sampler) -> None:
    """The same seed gives the same bits, for any state of the global generators; another does not."""
    for sampler in combinations(with_steps(plugin, 6), exclude=COMMON):
        with seed_globally(1):
            first = _sample_images(sampler, 7, range(3))
        with seed_globally(2):
            second = _sample_images(sampler, 7, range(3))
        require(
            is_bit_equal(first, second),
            sampler,
            "two results with the same seed",
            "the same bits",
            _describe_error(first, second),
        )
        other = _sample_images(sampler, 8, range(3))
        require(
            not is_bit_equal(first, other),
            sampler,
            "results with different seeds",
            "different images",
            "the same bits",
        )


def check_any_batch_and_split_same_bits(plugin: Sampler) -> None:
    """Image i has the same bits in any batch: all images, a half, alone, or in another order.

    The denoiser is made of sums and products alone, so that nothing but the sampler can mix images. The levels of
    a sampler that is declared `adaptive` may depend on the batch: its images agree to 0.05.
    """
    for sampler in combinations(with_steps(plugin, 6), exclude=COMMON):
        whole = _sample_images(sampler, 7, range(5))
        for split in ([[0, 1], [2, 3, 4]], [[0], [1], [2], [3], [4]], [[4, 3, 2, 1, 0]]):
            actual = torch.cat([_sample_images(sampler, 7, part) for part in split])
            expected = whole[[index for part in split for index in part]]
            what = f"images sampled in batches {split}"
            if sampler.adaptive:
                near = bool(((actual - expected).abs() < 0.05).all())
                require(near, sampler, what, "those of one batch, within 0.05", _describe_error(actual, expected))
                continue
            require(
                is_bit_equal(actual, expected),
                sampler,
                what,
                "the same bits as in one batch",
                _describe_error(actual, expected),
            )


def check_last_step_adds_no_noise(plugin: Sampler) -> None:
    """The image does not depend on what the noise source gives in the last step.

    Where a sampler `renoises`, that noise may change what the denoiser sees, but not be left in the image: with
    a denoiser that sees 0 in everything, all images are 0 within 1e-9.
    """
    for sampler in combinations(plugin, exclude=COMMON):
        for steps in (1, 2, 8):
            candidate = with_steps(sampler, steps)
            if plugin.renoises:
                x = initial_noise(2, (1, 1, 2))
                end = run_sampler(
                    candidate,
                    ExactDenoiser(Gaussian([0.0, 0.0], torch.zeros(2, 2)), processes.linear()),
                    x,
                    BatchNoise(0, x),
                )
                left = float(end[-1].abs().max())
                require(left < 1e-9, candidate, "noise left in the image", "none", left)
                continue
            ends = [_with_last_noise(candidate, seed) for seed in (1, 2)]
            require(
                is_bit_equal(*ends),
                candidate,
                "result with other noise in the last step",
                "the same image",
                _describe_error(*ends),
            )


def check_stochastic_as_declared(plugin: Sampler) -> None:
    """`stochastic` declares whether the image depends on noise with default options."""
    try:
        sampler = with_steps(type(plugin)(), 8)
    except ValidationError as error:
        raise Skip(f"{format_plugin(plugin)}: `stochastic` is declared for default options; it has none") from error
    x = initial_noise(2, _SHAPE)
    first, second = (
        run_sampler(sampler, AffineDenoiser(processes.linear()), x, BatchNoise(seed, x))[-1] for seed in (1, 2)
    )
    actual = not is_bit_equal(first, second)
    require(actual == sampler.stochastic, sampler, "stochastic", f"{sampler.stochastic}, as declared", actual)


def _sample_images(sampler: Sampler, seed: int, indices: range | list[int]) -> Tensor:
    noise = Noise(seed, indices, _SHAPE)
    return run_sampler(sampler, Clipped(AffineDenoiser(processes.linear())), noise(), noise)[-1]


def _with_last_noise(sampler: Sampler, seed: int) -> Tensor:
    """Sample with one noise source, and use the one of `seed` in the last step."""
    process, x = processes.linear(), initial_noise(2, _SHAPE)
    count = len(run_sampler(sampler, AffineDenoiser(process), x, BatchNoise(0, x)))
    noise = SwitchableNoise(BatchNoise(0, x) if count > 1 else BatchNoise(seed, x))
    end = x
    with torch.no_grad():
        for number, state in enumerate(sampler.trajectory(AffineDenoiser(process), x, noise)):
            end = state
            if number == count - 2:
                noise.source = BatchNoise(seed, x)
    return end
