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
    """A denoiser whose trajectories begin at timestep t, for images noised to t."""

    def __init__(self, denoise: Denoiser, t: int) -> None:
        self.denoise = denoise
        self.process = denoise.process.truncate(t)

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the inner prediction."""
        return self.denoise(x_t, t)


@torch.no_grad()
def edit(denoise: Denoiser, sampler: Sampler, images: Tensor, t: int, indices: Sequence[int], seed: int) -> Tensor:
    """Noise images to timestep t and denoise them (Meng et al. 2022, SDEdit), (N, C, H, W).

    Args:
        denoise: the denoiser.
        sampler: takes its number of steps from t, or t + 1 steps if these are fewer.
        images: (N, C, H, W) within [-1, 1].
        t: timestep within [0, T); the larger, the less a result resembles its image.
        indices: indices of the images, which decide their noise.
        seed: seed of the noise.
    """
    noise = Noise(seed, indices, images.shape[1:], device=images.device, dtype=images.dtype)
    truncated = TruncatedDenoiser(denoise, t)
    return sample_loop(truncated, sampler, _add_noise(truncated, sampler, images, noise()), noise)


@torch.no_grad()
def interpolate(
    denoise: Denoiser, sampler: Sampler, a: Tensor, b: Tensor, t: int, mixes: Sequence[float], seed: int
) -> Tensor:
    """Interpolate between two images (Ho et al. 2020, section 4.3): noise both to t, mix them, and denoise.

    Args:
        denoise: the denoiser.
        sampler: starts at t.
        a: the first image, (C, H, W) within [-1, 1].
        b: the second image.
        t: timestep within [0, T); 0 is almost a blend of pixels, T - 1 hardly resembles either image.
        mixes: weights of b within [0, 1], one for each result.
        seed: seed of the noise, which all results share.

    Returns:
        Images of shape (len(mixes), C, H, W).
    """
    noise = Noise(seed, [0], a.shape, device=a.device, dtype=a.dtype)
    truncated = TruncatedDenoiser(denoise, t)
    eps = noise()
    a_t, b_t = (_add_noise(truncated, sampler, image[None], eps) for image in (a, b))
    mixed = torch.cat([torch.lerp(a_t, b_t, mix) for mix in mixes])
    return sample_loop(truncated, sampler, mixed, _SharedNoise(noise, len(mixes)))


class _SharedNoise(Noise):
    """The noise of one image for several."""

    def __init__(self, noise: Noise, count: int) -> None:
        self._noise, self._count = noise, count

    def __call__(self) -> Tensor:
        draw = self._noise()
        return draw.expand(self._count, *draw.shape[1:])


def _add_noise(truncated: TruncatedDenoiser, sampler: Sampler, images: Tensor, eps: Tensor) -> Tensor:
    """Return the images at the first timestep of the trajectory, which depends on the spacing."""
    alpha, sigma = truncated.process(truncated.process.timesteps(sampler.steps, sampler.spacing)[0])
    return alpha * images + sigma * eps


@torch.no_grad()
def invert(
    denoise: Denoiser, images: Tensor, steps: int = 50, spacing: Spacing = "linspace", *, refinements: int = 0
) -> Tensor:
    """Return the noise from which DDIM (eta 0) generates the images in these steps, (N, C, H, W).

    The noise is at the first timestep of the trajectory, where `Sampler.trajectory` begins. The denoiser must not
    clip x0, since clipping cannot be inverted.

    Args:
        denoise: the denoiser; called (1 + refinements) times a step.
        images: (N, C, H, W) within [-1, 1].
        steps: number of steps.
        spacing: how the steps are spread over the timesteps.
        refinements: number of fixed-point iterations for x_t; 0 is the usual inversion.
    """
    process, x = denoise.process, images
    for s, t in pairwise(reversed(process.timesteps(steps, spacing))):
        (alpha_s, sigma_s), (alpha_t, sigma_t) = process(s), process(t)
        ratio = alpha_t / alpha_s
        timestep, guess = max(s, 0), x
        for _ in range(1 + refinements):
            eps = denoise(guess, timestep).eps
            guess, timestep = ratio * x + (sigma_t - ratio * sigma_s) * eps, t
        x = guess
    return x
