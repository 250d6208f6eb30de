"""Ancestral sampling, with the learned variance if asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class FractionsUndeclared(Sampler):
    """Ancestral sampling, with the learned variance if asked."""

    name: ClassVar[str] = "ancestral-learned"
    paper: ClassVar[str] = "Nichol & Dhariwal 2021, eq. 15"
    stochastic: ClassVar[bool] = True
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({"learn": True},)

    learn: bool = Field(False, description="take the variance that the network tells")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Draw x_s from N(posterior mean, variance)."""
        from noisette.diffusion.prediction import log_variance

        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            posterior, seen = process.posterior(t, s), denoise(x, t)
            x = posterior.x0_coef * seen.x0 + posterior.xt_coef * x
            if s >= 0:
                std = (
                    (log_variance(seen.variance_fraction, process, t, s) / 2).exp()
                    if self.learn
                    else sqrt(posterior.variance)
                )
                x = x + std * noise()
            yield x


KIND = "sampler"
PLUGIN = FractionsUndeclared
CAUSE = (
    "with learn=True it reads the learned variance, but needs_learned_variance stays False, so core does "
    "not refuse a network without one"
)
WORDS = ("needs_learned_variance", "variance_fraction", "learned")
