"""The ancestral sampler."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveInt

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise

__all__ = ["DDPM"]


class DDPM(Sampler):
    """Denoising diffusion probabilistic models: ancestral sampling, over all steps or some of them.

    Over some of the steps, beta is that of the jump from s to t (Nichol & Dhariwal 2021, section 4).
    """

    name: ClassVar[str] = "ddpm"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, algorithm 2 and eq. 7"
    stochastic: ClassVar[bool] = True

    steps: PositiveInt = Field(1000, description="steps of the walk; the paper takes all that were trained")
    variance: Literal["fixed-small", "fixed-large"] = Field(
        "fixed-small", description="that of the posterior, or beta itself (the upper bound)"
    )

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Draw x_s from N(posterior mean, variance); the last step adds no noise."""
        schedule = denoise.schedule
        for t, s in pairwise(schedule.timesteps(self.steps, self.spacing)):
            posterior = schedule.posterior(t, s)
            x = posterior.x0 * denoise(x, t).x0 + posterior.x_t * x
            if s >= 0:
                variance = posterior.variance if self.variance == "fixed-small" else schedule.jump(t, s)
                x = x + sqrt(variance) * noise()
            yield x
