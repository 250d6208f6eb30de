"""Implicit sampling that keeps values from running away."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class ClampsTheWalk(Sampler):
    """Implicit sampling that keeps values from running away."""

    name: ClassVar[str] = "ddim-stable"
    paper: ClassVar[str] = "Song, Meng & Ermon 2021, eq. 12"

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step along the noise that is seen."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            seen = denoise(x, t)
            alpha_s, sigma_s = process(s)
            x = (alpha_s * seen.x0 + sigma_s * seen.eps).clamp(-2, 2)
            yield x


KIND = "sampler"
PLUGIN = ClampsTheWalk
CAUSE = "x itself, noise and all, is clamped to [-2, 2] after every step, which cuts the tails of the noise"
WORDS = ("clamp", "variance", "noise", "marginal", "range")
