"""Implicit sampling with the noise rescaled to unit variance, against washed-out contrast."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class BatchNormOfEps(Sampler):
    """Implicit sampling with the noise rescaled to unit variance, against washed-out contrast."""

    name: ClassVar[str] = "ddim-rescaled"
    paper: ClassVar[str] = "after Lin et al. 2024, section 3.4"

    strength: float = Field(0.5, ge=0, le=1, description="how far the noise is rescaled")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step along the rescaled noise."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            seen = denoise(x, t)
            alpha_s, sigma_s = process(s)
            scale = 1 + self.strength * (1 / seen.eps.std().clamp(min=1e-3) - 1)
            x = alpha_s * seen.x0 + sigma_s * scale * seen.eps
            yield x


KIND = "sampler"
PLUGIN = BatchNormOfEps
CAUSE = (
    "the seen noise is rescaled to unit variance over the whole batch, so images depend on what they "
    "are sampled beside"
)
WORDS = ("batch", "alone", "independent")
