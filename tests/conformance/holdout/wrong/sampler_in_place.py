"""Implicit sampling that allocates nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class InPlace(Sampler):
    """Implicit sampling that allocates nothing."""

    name: ClassVar[str] = "ddim-in-place"
    paper: ClassVar[str] = "Song, Meng & Ermon 2021, eq. 12"

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step along the noise that is seen."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            seen = denoise(x, t)
            alpha_s, sigma_s = process(s)
            step = alpha_s * seen.x0 + sigma_s * seen.eps
            x.copy_(step)
            yield x.clone()


KIND = "sampler"
PLUGIN = InPlace
CAUSE = "the start x is overwritten in place"
WORDS = ("in place", "in-place", "changed", "modif")
