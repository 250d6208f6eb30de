"""Ancestral sampling with the large variance, over all steps or some."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class VarianceOfNeighbours(Sampler):
    """Ancestral sampling with the large variance, over all steps or some."""

    name: ClassVar[str] = "ancestral-beta"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, section 3.2"
    stochastic: ClassVar[bool] = True

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Draw x_s from N(posterior mean, beta_t)."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            posterior, seen = process.posterior(t, s), denoise(x, t)
            x = posterior.x0_coef * seen.x0 + posterior.xt_coef * x
            if s >= 0:
                x = x + sqrt(float(process.betas[t])) * noise()
            yield x


KIND = "sampler"
PLUGIN = VarianceOfNeighbours
CAUSE = (
    "the noise of a jump is that of the single trained step (betas[t]), right over all T steps and too "
    "small wherever steps are left out"
)
WORDS = ("variance", "beta", "jump", "steps", "marginal")
