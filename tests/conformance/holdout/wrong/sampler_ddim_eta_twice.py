"""Implicit sampling with a choice of eta."""

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


class DDIMEtaTwice(Sampler):
    """Implicit sampling with a choice of eta."""

    name: ClassVar[str] = "ddim-eta-twice"
    paper: ClassVar[str] = "Song, Meng & Ermon 2021, eq. 16"

    eta: float = Field(0.0, ge=0, le=1, description="0 is deterministic, 1 ancestral")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step along the noise that is seen, and add fresh noise."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            seen = denoise(x, t)
            alpha_s, sigma_s = process(s)
            std = self.eta * sqrt(process.posterior(t, s).variance)
            x = alpha_s * seen.x0 + sqrt(max(sigma_s**2 - std**2, 0.0)) * seen.eps
            if std > 0:
                x = x + self.eta * std * noise()
            yield x


KIND = "sampler"
PLUGIN = DDIMEtaTwice
CAUSE = (
    "the noise that is added has eta squared where the rest of the step has eta, so for eta strictly "
    "between 0 and 1 the samples have too little variance"
)
WORDS = ("variance", "eta", "std", "marginal")
