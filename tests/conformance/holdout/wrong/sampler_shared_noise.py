"""Ancestral sampling."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class SharedNoise(Sampler):
    """Ancestral sampling."""

    name: ClassVar[str] = "ancestral-shared"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, algorithm 2"
    stochastic: ClassVar[bool] = True

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Draw from the posterior of each jump."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            posterior, seen = process.posterior(t, s), denoise(x, t)
            x = posterior.x0_coef * seen.x0 + posterior.xt_coef * x
            if s >= 0:
                x = x + sqrt(posterior.variance) * noise()[0]
            yield x


KIND = "sampler"
PLUGIN = SharedNoise
CAUSE = "all images of a batch get the noise of the first one"
WORDS = ("batch", "noise", "shared", "independent", "image")
