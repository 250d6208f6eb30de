"""Implicit sampling; steps are counted from 1 as in the paper."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class OneStepLate(Sampler):
    """Implicit sampling; steps are counted from 1 as in the paper."""

    name: ClassVar[str] = "ddim-from-one"
    paper: ClassVar[str] = "Song, Meng & Ermon 2021, eq. 12"

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step along the noise that is seen."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            eps = denoise(x, max(t - 1, 0)).eps
            x0 = (x - sigma_t * eps) / max(alpha_t, 1e-4)
            x = alpha_s * x0 + sigma_s * eps
            yield x


KIND = "sampler"
PLUGIN = OneStepLate
CAUSE = "the network is told the step before the one that x is at (t - 1), so it expects less noise than there is"
WORDS = ("step", "t", "off by one", "noise level")
