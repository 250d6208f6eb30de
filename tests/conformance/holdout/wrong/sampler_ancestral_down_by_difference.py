"""Euler with ancestral noise, in sigma / alpha."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class AncestralDownByDifference(Sampler):
    """Euler with ancestral noise, in sigma / alpha."""

    name: ClassVar[str] = "euler-ancestral"
    paper: ClassVar[str] = "Crowson 2022, k-diffusion"
    stochastic: ClassVar[bool] = True

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step down below the wanted noise and up again."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            seen = denoise(x, t)
            to = sigma_s / alpha_s
            share = 1 - (to * alpha_t / sigma_t) ** 2
            up = to * sqrt(max(share, 0.0))
            down = to - up
            x = alpha_s * (seen.x0 + down * seen.eps)
            if s >= 0:
                x = x + alpha_s * up * noise()
            yield x


KIND = "sampler"
PLUGIN = AncestralDownByDifference
CAUSE = (
    "sigma_down is sigma_to - sigma_up where the variances must be subtracted, so too much noise is "
    "removed and the samples have too little variance"
)
WORDS = ("variance", "noise", "std", "marginal")
