"""Implicit sampling in one buffer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class OneBuffer(Sampler):
    """Implicit sampling in one buffer."""

    name: ClassVar[str] = "ddim-one-buffer"
    paper: ClassVar[str] = "Song, Meng & Ermon 2021, eq. 12"

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step along the noise that is seen."""
        process, buffer = denoise.process, x.clone()
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            seen = denoise(buffer.clone(), t)
            alpha_s, sigma_s = process(s)
            buffer.copy_(alpha_s * seen.x0 + sigma_s * seen.eps)
            yield buffer


KIND = "sampler"
PLUGIN = OneBuffer
CAUSE = (
    "every step is yielded as the same tensor that later steps overwrite, so a stored trajectory shows "
    "the last image everywhere"
)
WORDS = ("same tensor", "overwrit", "in place", "in-place", "yield")
