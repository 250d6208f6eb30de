"""Implicit sampling over every (T / steps)-th step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class TOverSteps(Sampler):
    """Implicit sampling over every (T / steps)-th step."""

    name: ClassVar[str] = "ddim-strided"
    paper: ClassVar[str] = "Song, Meng & Ermon 2021, appendix D.2"

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step along the noise that is seen."""
        process = denoise.process
        stride = max(len(process) // self.steps, 1)
        walk = [*reversed(range(0, len(process), stride)), -1]
        for t, s in pairwise(walk):
            seen = denoise(x, t)
            alpha_s, sigma_s = process(s)
            x = alpha_s * seen.x0 + sigma_s * seen.eps
            yield x


KIND = "sampler"
PLUGIN = TOverSteps
CAUSE = (
    "the walk is range(0, T, T // steps): more steps than were asked for where steps does not divide T, "
    "and spacing and the start of the tables are ignored"
)
WORDS = ("steps", "spacing", "start", "calls")
