"""Half-way between implicit and ancestral sampling."""

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


class UndeclaredNoise(Sampler):
    """Half-way between implicit and ancestral sampling."""

    name: ClassVar[str] = "ddim-half"
    paper: ClassVar[str] = "Song, Meng & Ermon 2021, eq. 16"

    eta: float = Field(0.5, ge=0, le=1, description="0 is deterministic, 1 ancestral")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step along the noise that is seen, and add fresh noise."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            seen = denoise(x, t)
            alpha_s, sigma_s = process(s)
            std = self.eta * sqrt(process.posterior(t, s).variance)
            x = alpha_s * seen.x0 + sqrt(max(sigma_s**2 - std**2, 0.0)) * seen.eps
            if std > 0:
                x = x + std * noise()
            yield x


KIND = "sampler"
PLUGIN = UndeclaredNoise
CAUSE = "it draws noise at default options and does not declare stochastic"
WORDS = ("stochastic", "noise")
