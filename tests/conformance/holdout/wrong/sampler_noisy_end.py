"""Ancestral sampling with the large variance."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class NoisyEnd(Sampler):
    """Ancestral sampling with the large variance."""

    name: ClassVar[str] = "ancestral-noisy-end"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, section 3.2"
    stochastic: ClassVar[bool] = True

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Draw x_s from N(posterior mean, beta)."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            posterior, seen = process.posterior(t, s), denoise(x, t)
            x = posterior.x0_coef * seen.x0 + posterior.xt_coef * x + sqrt(process.step_variance(t, s)) * noise()
            yield x


KIND = "sampler"
PLUGIN = NoisyEnd
CAUSE = "noise is added after the last step too, so that the image is grainy"
WORDS = ("last", "noise", "clean", "end")
