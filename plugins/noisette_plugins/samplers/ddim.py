"""Denoising diffusion implicit models (DDIM)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise

__all__ = ["DDIM"]


class DDIM(Sampler):
    """Denoising diffusion implicit models.

        x_s = alpha_s x0 + sqrt(sigma_s² - std²) eps + std z,    std² = eta² Var q(x_s | x_t, x0)

    with x0 and eps predicted at x_t and z standard normal noise. eta = 0 solves the probability flow ODE by Euler's
    rule in x / alpha and sigma / alpha; eta = 1 is ancestral sampling.
    """

    name: ClassVar[str] = "ddim"
    aliases: ClassVar[tuple[str, ...]] = ("euler",)
    paper: ClassVar[str] = "Song, Meng & Ermon 2021, eq. 12 and 16"

    eta: float = Field(0.0, ge=0, le=1, description="0 is deterministic, 1 is ancestral sampling")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Yield x_s after each step; deterministic if eta is 0."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            pred = denoise(x, t)
            alpha_s, sigma_s = process(s)
            std = self.eta * sqrt(process.posterior(t, s).variance)
            x = alpha_s * pred.x0 + sqrt(max(sigma_s**2 - std**2, 0.0)) * pred.eps
            if std > 0:
                x = x + std * noise()
            yield x
