"""Implicit sampling whose eta falls linearly over the walk."""

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


class SingleStep(Sampler):
    """Implicit sampling whose eta falls linearly over the walk."""

    name: ClassVar[str] = "ddim-annealed"
    paper: ClassVar[str] = "Song, Meng & Ermon 2021, eq. 16"
    stochastic: ClassVar[bool] = True

    eta: float = Field(1.0, gt=0, le=1, description="eta of the first step; 0 at the last")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step along the noise that is seen, with less and less fresh noise."""
        process = denoise.process
        walk = list(pairwise(process.timesteps(self.steps, self.spacing)))
        for number, (t, s) in enumerate(walk):
            seen = denoise(x, t)
            alpha_s, sigma_s = process(s)
            std = self.eta * (1 - number / (len(walk) - 1)) * sqrt(process.posterior(t, s).variance)
            x = alpha_s * seen.x0 + sqrt(max(sigma_s**2 - std**2, 0.0)) * seen.eps
            if std > 0:
                x = x + std * noise()
            yield x


KIND = "sampler"
PLUGIN = SingleStep
CAUSE = "the progress of the walk is computed by dividing by steps - 1, which fails for a single step"
WORDS = ("single", "one step", "steps=1", "division")
