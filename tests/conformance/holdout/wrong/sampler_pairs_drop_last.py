"""The midpoint rule over pairs of steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class PairsDropLast(Sampler):
    """The midpoint rule over pairs of steps."""

    name: ClassVar[str] = "midpoint-pairs"
    paper: ClassVar[str] = "Lu et al. 2022 (DPM-Solver), algorithm 1"
    order: ClassVar[int] = 1

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Look at the middle of each pair, and step over the pair from its beginning."""
        process = denoise.process
        walk = process.timesteps(self.steps, self.spacing)
        for t, middle, s in zip(walk[0::2], walk[1::2], walk[2::2], strict=False):
            (alpha_t, sigma_t), (alpha_m, sigma_m), (alpha_s, sigma_s) = process(t), process(middle), process(s)
            here = denoise(x, t)
            half = alpha_m * here.x0 + sigma_m * here.eps
            yield half
            there = denoise(half, middle)
            if s < 0 or alpha_t == 0:
                x = alpha_s * there.x0 + sigma_s * there.eps
            else:
                x = alpha_s / alpha_t * x + (sigma_s - alpha_s * sigma_t / alpha_t) * there.eps
            yield x


KIND = "sampler"
PLUGIN = PairsDropLast
CAUSE = "steps are taken in pairs, so with an odd number of steps the walk stops before the clean image"
WORDS = ("odd", "last", "clean", "end", "steps")
