"""What a sampler draws: from the given noise alone, the same for a seed, none of it left in the picture."""

from __future__ import annotations

import torch
from pydantic import ValidationError
from torch import Tensor

from noisette.contracts import Sampler
from noisette.diffusion import Clipped, Noise
from noisette.testing import processes
from noisette.testing.check import Skip, require
from noisette.testing.checks.samplers import _SHAPE, COMMON, _apart, in_steps
from noisette.testing.exact import Exact, Slope
from noisette.testing.laws import Gaussian
from noisette.testing.noises import Stream, Switched
from noisette.testing.options import combinations, shown
from noisette.testing.probes import (
    global_random_state_kept,
    global_seeds,
    same_bits,
    start,
    walk,
)


def check_leaves_global_random_state_alone(plugin: Sampler) -> None:
    """Noise comes from the given source: the global generators of torch, NumPy and Python stay untouched."""
    for sampler in combinations(in_steps(plugin, 4), beside=COMMON):
        x = start(2, _SHAPE)
        with global_random_state_kept(sampler, "a walk"):
            walk(sampler, Slope(processes.linear()), x, Stream(0, x))


def check_same_seed_same_bits(plugin: Sampler) -> None:
    """The same seed gives the same bits, whatever the state of the global generators; another seed others."""
    for sampler in combinations(in_steps(plugin, 6), beside=COMMON):
        with global_seeds(1):
            first = _picture(sampler, 7, range(3))
        with global_seeds(2):
            second = _picture(sampler, 7, range(3))
        require(same_bits(first, second), sampler, "two walks of one seed", "the same bits", _apart(first, second))
        other = _picture(sampler, 8, range(3))
        require(not same_bits(first, other), sampler, "walks of two seeds", "two pictures", "the same bits")


def check_any_batch_and_split_same_bits(plugin: Sampler) -> None:
    """Picture i has the same bits in any batch: whole, halves, alone, or in another order.

    The denoiser is made of sums and products alone, so that nothing but the sampler can mix pictures. The levels of
    a sampler that is declared `adaptive` may depend on the batch: its pictures agree to 0.05.
    """
    for sampler in combinations(in_steps(plugin, 6), beside=COMMON):
        whole = _picture(sampler, 7, range(5))
        for split in ([[0, 1], [2, 3, 4]], [[0], [1], [2], [3], [4]], [[4, 3, 2, 1, 0]]):
            came = torch.cat([_picture(sampler, 7, part) for part in split])
            expected = whole[[index for part in split for index in part]]
            what = f"pictures drawn as {split}"
            if sampler.adaptive:
                near = bool(((came - expected).abs() < 0.05).all())
                require(near, sampler, what, "those of one batch within 0.05", _apart(came, expected))
                continue
            require(same_bits(came, expected), sampler, what, "the bits of one batch", _apart(came, expected))


def check_last_step_adds_no_noise(plugin: Sampler) -> None:
    """The picture does not depend on what the noise source gives in the last step.

    Where a sampler `goes_back`, that noise may change what the denoiser sees, but not be left in the picture: with
    a denoiser that sees 0 in everything, all pictures are 0 within 1e-9.
    """
    for sampler in combinations(plugin, beside=COMMON):
        for steps in (1, 2, 8):
            walker = in_steps(sampler, steps)
            if plugin.goes_back:
                x = start(2, (1, 1, 2))
                end = walk(
                    walker, Exact(Gaussian([0.0, 0.0], torch.zeros(2, 2)), processes.linear()), x, Stream(0, x)
                )
                left = float(end[-1].abs().max())
                require(left < 1e-9, walker, "noise that is left in the picture", "none", left)
                continue
            ends = [_with_last_noise(walker, seed) for seed in (1, 2)]
            require(same_bits(*ends), walker, "two noises in the last step", "the same picture", _apart(*ends))


def check_stochastic_as_declared(plugin: Sampler) -> None:
    """`stochastic` says whether noise has a part in the picture at default options."""
    try:
        sampler = in_steps(type(plugin)(), 8)
    except ValidationError as error:
        raise Skip(f"{shown(plugin)}: `stochastic` is declared for default options; it has none") from error
    x = start(2, _SHAPE)
    first, second = (walk(sampler, Slope(processes.linear()), x, Stream(seed, x))[-1] for seed in (1, 2))
    came = not same_bits(first, second)
    require(came == sampler.stochastic, sampler, "stochastic", f"{sampler.stochastic}, as declared", came)


def _picture(sampler: Sampler, seed: int, indices: range | list[int]) -> Tensor:
    noise = Noise(seed, indices, _SHAPE)
    return walk(sampler, Clipped(Slope(processes.linear())), noise(), noise)[-1]


def _with_last_noise(sampler: Sampler, seed: int) -> Tensor:
    """Walk under one noise, then take the last step under that of `seed`."""
    schedule, x = processes.linear(), start(2, _SHAPE)
    count = len(walk(sampler, Slope(schedule), x, Stream(0, x)))
    noise = Switched(Stream(0, x) if count > 1 else Stream(seed, x))
    end = x
    with torch.no_grad():
        for number, state in enumerate(sampler.trajectory(Slope(schedule), x, noise)):
            end = state
            if number == count - 2:
                noise.source = Stream(seed, x)
    return end
