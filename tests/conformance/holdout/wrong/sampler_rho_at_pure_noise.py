"""Euler's rule in sigma / alpha."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class RhoAtPureNoise(Sampler):
    """Euler's rule in sigma / alpha."""

    name: ClassVar[str] = "euler-rho"
    paper: ClassVar[str] = "Karras, Aittala, Aila & Laine 2022, algorithm 1"

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Move x / alpha by eps times the change of rho."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            x = alpha_s * (x / alpha_t + (sigma_s / alpha_s - sigma_t / alpha_t) * denoise(x, t).eps)
            yield x


KIND = "sampler"
PLUGIN = RhoAtPureNoise
CAUSE = "it divides by alpha_t, which is 0 at the first step of a schedule with zero terminal signal"
WORDS = ("alpha", "zero", "terminal", "division", "signal", "noise")
