"""Filling in what is missing of pictures, with any sampler.

Where a picture is known, the denoiser is told what it sees there: whichever way the sampler walks, the known part
ends as it is. A walk alone fits the missing part badly to the known one, as each step looks at a known part that
was noised apart from it. So pieces of the walk are walked again and again: noised back to where the piece began,
both parts together (Lugmayr et al. 2022, RePaint, algorithm 1 and section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette.diffusion.denoiser import Denoiser
from noisette.diffusion.noise import Noise
from noisette.diffusion.prediction import Prediction
from noisette.diffusion.process import Tables
from noisette.errors import DataError
from noisette.sampling.loop import walked

if TYPE_CHECKING:
    from noisette.contracts import Sampler

__all__ = ["Inpainted", "inpaint"]


class Inpainted(Denoiser):
    """A denoiser that sees the known part of pictures as it is; their noise follows.

    Args:
        denoise: the denoiser that sees the rest.
        pictures: (N, C, H, W) within [-1, 1].
        known: bool, broadcasts against the pictures.
    """

    def __init__(self, denoise: Denoiser, pictures: Tensor, known: Tensor) -> None:
        self.denoise, self.pictures, self.known = denoise, pictures, known
        self.schedule = denoise.schedule

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the inner prediction with the known part in its place."""
        seen = self.denoise(x_t, t)
        return seen.with_x0(torch.where(self.known, self.pictures, seen.x0))


@torch.no_grad()
def inpaint(
    denoise: Denoiser,
    sampler: Sampler,
    pictures: Tensor,
    known: Tensor,
    indices: Sequence[int],
    seed: int,
    *,
    jump: int = 10,
    resample: int = 10,
) -> Tensor:
    """Return pictures whose unknown part is filled in, (N, C, H, W).

    Args:
        denoise: the denoiser.
        sampler: how to walk; a sampler of several steps begins anew with each piece. An ancestral one mixes best.
        pictures: (N, C, H, W) within [-1, 1]; their unknown part is not looked at.
        known: bool, (H, W), or what broadcasts against the pictures.
        indices: numbers of the pictures, which decide their noise.
        seed: seed of the noise.
        jump: steps of a piece.
        resample: how often each piece is walked; the network is called so many times as often as by the sampler
            alone.

    Raises:
        DataError: if `known` is not boolean or does not fit the pictures, or `jump` or `resample` is below 1.
    """
    _check(pictures, known, jump, resample)
    noise = Noise(seed, indices, pictures.shape[1:], device=pictures.device, dtype=pictures.dtype)
    told = Inpainted(denoise, torch.where(known, pictures, 0), known)
    walk = denoise.schedule.timesteps(sampler.steps, sampler.spacing)
    alpha, sigma = denoise.schedule(walk[0])
    x = alpha * told.pictures + sigma * noise()
    for begin in range(0, len(walk) - 1, jump):
        end = min(begin + jump, len(walk) - 1)
        for turn in range(resample):
            if turn:
                x = _noised_back(x, denoise.schedule, walk[end], walk[begin], noise())
            x = _piece(told, sampler, x, noise, walk[begin:], end - begin)
    return x


def _piece(denoise: Denoiser, sampler: Sampler, x: Tensor, noise: Noise, walk: list[int], steps: int) -> Tensor:
    """Walk the first steps of a walk."""
    along = sampler.model_copy(update={"spacing": tuple(walk[:-1]), "steps": len(walk) - 1})
    return walked(denoise, along, x, noise, steps)


def _noised_back(x: Tensor, schedule: Tables, s: int, t: int, noise: Tensor) -> Tensor:
    """Return x_t of x_s for t > s, as the forward process goes: q(x_t | x_s)."""
    added = schedule.jump(t, s)
    return sqrt(1 - added) * x + sqrt(added) * noise


def _check(pictures: Tensor, known: Tensor, jump: int, resample: int) -> None:
    if jump < 1 or resample < 1:
        raise DataError(f"inpaint: expected jump and resample of at least 1; got {jump} and {resample}")
    if known.dtype != torch.bool:
        raise DataError(f"inpaint: expected known as bool, True where the picture is kept; got {known.dtype}")
    try:
        known.expand(pictures.shape)
    except RuntimeError:
        came = f"known {tuple(known.shape)} for pictures {tuple(pictures.shape)}"
        raise DataError(f"inpaint: expected known to be of the pictures' height and width; got {came}") from None
