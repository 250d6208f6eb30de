"""Implicit sampling; eta adds noise."""

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


class DDIMKeepsDirection(Sampler):
    """Implicit sampling; eta adds noise."""

    name: ClassVar[str] = "ddim-keeps-direction"
    paper: ClassVar[str] = "Song, Meng & Ermon 2021, eq. 12"

    eta: float = Field(0.0, ge=0, le=1, description="0 is deterministic, 1 ancestral")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step along the noise that is seen, and add fresh noise."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            seen = denoise(x, t)
            alpha_s, sigma_s = process(s)
            x = alpha_s * seen.x0 + sigma_s * seen.eps
            if self.eta > 0 and s >= 0:
                x = x + self.eta * sqrt(process.posterior(t, s).variance) * noise()
            yield x


KIND = "sampler"
PLUGIN = DDIMKeepsDirection
CAUSE = (
    "with eta above 0 the direction keeps its full sigma_s although fresh noise is added, so variance is too large"
)
WORDS = ("variance", "eta", "std", "marginal")
