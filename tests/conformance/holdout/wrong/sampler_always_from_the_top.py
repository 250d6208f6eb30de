"""Implicit sampling."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class AlwaysFromTheTop(Sampler):
    """Implicit sampling."""

    name: ClassVar[str] = "ddim-from-the-top"
    paper: ClassVar[str] = "Song, Meng & Ermon 2021, eq. 12"

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step along the noise that is seen."""
        from noisette.diffusion.spacing import space_timesteps

        process = denoise.process
        walk = space_timesteps(len(process), min(self.steps, len(process)), self.spacing, process.ratios)
        for t, s in pairwise(walk):
            seen = denoise(x, t)
            alpha_s, sigma_s = process(s)
            x = alpha_s * seen.x0 + sigma_s * seen.eps
            yield x


KIND = "sampler"
PLUGIN = AlwaysFromTheTop
CAUSE = (
    "the walk is spread over all T steps, whatever step the tables start at, so images noised to a "
    "middle step are taken for pure noise"
)
WORDS = ("start", "first", "timesteps", "step")
