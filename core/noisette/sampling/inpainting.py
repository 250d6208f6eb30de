"""Filling in what is missing of images, with any sampler.

Where an image is known, the denoiser is told what it sees there: whichever way the sampler walks, the known part
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
from noisette.diffusion.process import Process
from noisette.errors import DataError
from noisette.sampling.loop import sample_loop

if TYPE_CHECKING:
    from noisette.contracts import Sampler

__all__ = ["Inpainted", "inpaint"]


class Inpainted(Denoiser):
    """A denoiser that sees the known part of images as it is; their noise follows.

    Args:
        denoise: the denoiser that sees the rest.
        images: (N, C, H, W) within [-1, 1].
        known: bool, broadcasts against the images.
    """

    def __init__(self, denoise: Denoiser, images: Tensor, known: Tensor) -> None:
        self.denoise, self.images, self.known = denoise, images, known
        self.process = denoise.process

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the inner prediction with the known part in its place."""
        pred = self.denoise(x_t, t)
        return pred.with_x0(torch.where(self.known, self.images, pred.x0))


@torch.no_grad()
def inpaint(
    denoise: Denoiser,
    sampler: Sampler,
    images: Tensor,
    known: Tensor,
    indices: Sequence[int],
    seed: int,
    *,
    jump_length: int = 10,
    jump_n_sample: int = 10,
) -> Tensor:
    """Return images whose unknown part is filled in, (N, C, H, W).

    Args:
        denoise: the denoiser.
        sampler: how to walk; a sampler of several steps begins anew with each piece. An ancestral one mixes best.
        images: (N, C, H, W) within [-1, 1]; their unknown part is not looked at.
        known: bool, (H, W), or what broadcasts against the images.
        indices: numbers of the images, which decide their noise.
        seed: seed of the noise.
        jump_length: steps of a piece.
        jump_n_sample: how often each piece is sampled; the network is called about that many times as often
            alone.

    Raises:
        DataError: if `known` is not boolean or does not fit the images, or a length or count is below 1.
    """
    _check(images, known, jump_length, jump_n_sample)
    noise = Noise(seed, indices, images.shape[1:], device=images.device, dtype=images.dtype)
    inpainted = Inpainted(denoise, torch.where(known, images, 0), known)
    timesteps = denoise.process.timesteps(sampler.steps, sampler.spacing)
    alpha, sigma = denoise.process(timesteps[0])
    x = alpha * inpainted.images + sigma * noise()
    for begin in range(0, len(timesteps) - 1, jump_length):
        end = min(begin + jump_length, len(timesteps) - 1)
        for turn in range(jump_n_sample):
            if turn:
                x = _renoise(x, denoise.process, timesteps[end], timesteps[begin], noise())
            x = _sample_piece(inpainted, sampler, x, noise, timesteps[begin:], end - begin)
    return x


def _sample_piece(
    denoise: Denoiser, sampler: Sampler, x: Tensor, noise: Noise, timesteps: list[int], steps: int
) -> Tensor:
    """Walk the first steps of a walk."""
    piece = sampler.model_copy(update={"spacing": tuple(timesteps[:-1]), "steps": len(timesteps) - 1})
    return sample_loop(denoise, piece, x, noise, steps)


def _renoise(x: Tensor, process: Process, s: int, t: int, noise: Tensor) -> Tensor:
    """Return x_t of x_s for t > s, as the forward process goes: q(x_t | x_s)."""
    added = process.step_variance(t, s)
    return sqrt(1 - added) * x + sqrt(added) * noise


def _check(images: Tensor, known: Tensor, jump_length: int, jump_n_sample: int) -> None:
    if jump_length < 1 or jump_n_sample < 1:
        raise DataError(
            f"inpaint: expected jump_length and jump_n_sample of at least 1; got {jump_length} and {jump_n_sample}"
        )
    if known.dtype != torch.bool:
        raise DataError(f"inpaint: expected known as bool, True where the image is kept; got {known.dtype}")
    try:
        known.expand(images.shape)
    except RuntimeError:
        actual = f"known {tuple(known.shape)} for images {tuple(images.shape)}"
        raise DataError(f"inpaint: expected known to be of the images' height and width; got {actual}") from None
