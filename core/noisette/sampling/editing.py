"""Trajectories that begin at an image instead of at pure noise: editing, interpolation, and inversion to noise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette.diffusion.denoiser import Denoiser
from noisette.diffusion.noise import Noise
from noisette.diffusion.prediction import Prediction
from noisette.diffusion.spacing import Spacing
from noisette.sampling.loop import sample_loop

if TYPE_CHECKING:
    from noisette.contracts import Sampler

__all__ = ["TruncatedDenoiser", "edit", "interpolate", "invert"]


class TruncatedDenoiser(Denoiser):
    """A denoiser whose walks begin at step t, for images that were noised to t only."""

    def __init__(self, denoise: Denoiser, t: int) -> None:
        self.denoise = denoise
        self.process = denoise.process.truncate(t)

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the inner prediction."""
        return self.denoise(x_t, t)


@torch.no_grad()
def edit(denoise: Denoiser, sampler: Sampler, images: Tensor, t: int, indices: Sequence[int], seed: int) -> Tensor:
    """Noise images to step t and walk back (Meng et al. 2022, SDEdit): the larger t, the freer the result.

    Args:
        denoise: the denoiser.
        sampler: walks from t in its number of steps, or in t + 1 if that is less.
        images: (N, C, H, W) within [-1, 1].
        t: step within [0, T).
        indices: numbers of the images, which decide their noise.
        seed: seed of the noise.
    """
    noise = Noise(seed, indices, images.shape[1:], device=images.device, dtype=images.dtype)
    truncated = TruncatedDenoiser(denoise, t)
    return sample_loop(truncated, sampler, _add_noise(truncated, sampler, images, noise()), noise)


@torch.no_grad()
def interpolate(
    denoise: Denoiser, sampler: Sampler, a: Tensor, b: Tensor, t: int, mixes: Sequence[float], seed: int
) -> Tensor:
    """Return images between two (Ho et al. 2020, section 4.3): both noised to t alike, mixed, and walked back.

    Args:
        denoise: the denoiser.
        sampler: walks from t.
        a: one image, (C, H, W) within [-1, 1].
        b: the other.
        t: step within [0, T); 0 is nearly a blend of pixels, T - 1 hardly resembles either.
        mixes: shares of b, 0 to 1, one a result.
        seed: seed of the noise, which all results share.

    Returns:
        Images of shape (len(mixes), C, H, W).
    """
    noise = Noise(seed, [0], a.shape, device=a.device, dtype=a.dtype)
    truncated = TruncatedDenoiser(denoise, t)
    one, other = (_add_noise(truncated, sampler, image[None], first) for first in [noise()] for image in (a, b))
    mixed = torch.cat([torch.lerp(one, other, mix) for mix in mixes])
    return sample_loop(truncated, sampler, mixed, _SharedNoise(noise, len(mixes)))


class _SharedNoise(Noise):
    """The same draws for several images."""

    def __init__(self, one: Noise, count: int) -> None:
        self._one, self._count = one, count

    def __call__(self) -> Tensor:
        draw = self._one()
        return draw.expand(self._count, *draw.shape[1:])


def _add_noise(truncated: TruncatedDenoiser, sampler: Sampler, images: Tensor, eps: Tensor) -> Tensor:
    """Return the images at the first step of the walk, whichever the spacing makes it."""
    alpha, sigma = truncated.process(truncated.process.timesteps(sampler.steps, sampler.spacing)[0])
    return alpha * images + sigma * eps


@torch.no_grad()
def invert(
    denoise: Denoiser, images: Tensor, steps: int = 50, spacing: Spacing = "linspace", *, refinements: int = 0
) -> Tensor:
    """Return the noise from which DDIM (eta 0) draws the images in these steps, (N, C, H, W).

    What it returns lies at the first step of the walk, where `Sampler.trajectory` begins. A denoiser that clips its
    view is no longer one to one: give one that does not.

    Args:
        denoise: the denoiser; called (1 + refinements) times a step.
        images: (N, C, H, W) within [-1, 1].
        steps: steps of the walk.
        spacing: how they are spread.
        refinements: how often x_t is put in anew; 0 is the usual inversion.
    """
    process, x = denoise.process, images
    for s, t in pairwise(reversed(process.timesteps(steps, spacing))):
        (alpha_s, sigma_s), (alpha_t, sigma_t) = process(s), process(t)
        stretch = alpha_t / alpha_s
        at, guess = max(s, 0), x
        for _ in range(1 + refinements):
            eps = denoise(guess, at).eps
            guess, at = stretch * x + (sigma_t - stretch * sigma_s) * eps, t
        x = guess
    return x
