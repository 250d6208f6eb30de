"""From a picture back to the noise that a deterministic walk draws it from (Song et al. 2021, section 4.3).

DDIM's step from t to s follows the noise that is seen at t. Its reverse would need that view before x_t is known.
The usual reverse takes the view at x_s instead; `refinements` solve for x_t: each puts it in anew, and the walk
back comes to the picture ever nearer.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from noisette.diffusion.denoiser import Denoiser
from noisette.diffusion.spacing import Spacing

__all__ = ["invert"]


@torch.no_grad()
def invert(
    denoise: Denoiser, pictures: Tensor, steps: int = 50, spacing: Spacing = "linspace", *, refinements: int = 0
) -> Tensor:
    """Return the noise from which DDIM (eta 0) draws the pictures in these steps, (N, C, H, W).

    What it returns lies at the first step of the walk, where `Sampler.trajectory` begins. A denoiser that clips its
    view is no longer one to one: give one that does not.

    Args:
        denoise: the denoiser; called (1 + refinements) times a step.
        pictures: (N, C, H, W) within [-1, 1].
        steps: steps of the walk.
        spacing: how they are spread.
        refinements: how often x_t is put in anew; 0 is the usual inversion.
    """
    schedule, x = denoise.schedule, pictures
    for s, t in pairwise(reversed(schedule.timesteps(steps, spacing))):
        (alpha_s, sigma_s), (alpha_t, sigma_t) = schedule(s), schedule(t)
        stretch = alpha_t / alpha_s
        at, guess = max(s, 0), x
        for _ in range(1 + refinements):
            eps = denoise(guess, at).eps
            guess, at = stretch * x + (sigma_t - stretch * sigma_s) * eps, t
        x = guess
    return x
