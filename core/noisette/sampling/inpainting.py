"""Inpainting with any sampler.

The predicted x0 is replaced by the image where that is known, so that every sampler ends in the known part. In a
single trajectory, the missing part fits the known one badly, as each step sees a known part noised independently.
Pieces of the trajectory are therefore sampled several times: x is noised back to the start of the piece, both parts
together, and the piece repeated (Lugmayr et al. 2022, RePaint, algorithm 1 and section 4.2).
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
    """A denoiser that predicts the known part of images exactly; eps follows from x0.

    Args:
        denoise: the denoiser of the missing part.
        images: (N, C, H, W) within [-1, 1].
        known: bool, broadcasts against the images.
    """

    def __init__(self, denoise: Denoiser, images: Tensor, known: Tensor) -> None:
        self.denoise, self.images, self.known = denoise, images, known
        self.process = denoise.process

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the inner prediction with the known part of x0 replaced."""
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
    """Fill in the unknown part of images, (N, C, H, W).

    Args:
        denoise: the denoiser.
        sampler: the sampler; a multistep one loses its history between pieces. An ancestral one mixes best.
        images: (N, C, H, W) within [-1, 1]; their unknown part is ignored.
        known: bool, (H, W) or broadcastable to the images.
        indices: indices of the images, which decide their noise.
        seed: seed of the noise.
        jump_length: sampler steps of a piece (RePaint's j).
        jump_n_sample: times that each piece is sampled (RePaint's r); multiplies the network calls.

    Raises:
        DataError: if `known` is not boolean or does not fit the images, or a number is below 1.
    """
    _check(images, known, jump_length, jump_n_sample)
    noise = Noise(seed, indices, images.shape[1:], device=images.device, dtype=images.dtype)
    inpainted = Inpainted(denoise, torch.where(known, images, 0), known)
    timesteps = denoise.process.timesteps(sampler.steps, sampler.spacing)
    alpha, sigma = denoise.process(timesteps[0])
    x = alpha * inpainted.images + sigma * noise()
    for begin in range(0, len(timesteps) - 1, jump_length):
        end = min(begin + jump_length, len(timesteps) - 1)
        for repeat in range(jump_n_sample):
            if repeat:
                x = _renoise(x, denoise.process, timesteps[end], timesteps[begin], noise())
            x = _sample_piece(inpainted, sampler, x, noise, timesteps[begin:], end - begin)
    return x


def _sample_piece(
    denoise: Denoiser, sampler: Sampler, x: Tensor, noise: Noise, timesteps: list[int], steps: int
) -> Tensor:
    """Take the first steps of a trajectory."""
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
