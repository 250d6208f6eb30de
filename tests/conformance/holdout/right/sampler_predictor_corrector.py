"""An implicit step, then a step of unadjusted Langevin dynamics at the new noise level."""

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


class PredictorCorrector(Sampler):
    """An implicit step, then a step of unadjusted Langevin dynamics at the new noise level.

    It would want to declare a bias: Langevin steps of size delta leave a variance that is wrong by O(delta),
    however many steps there are.
    """

    name: ClassVar[str] = "predictor-corrector"
    paper: ClassVar[str] = "Song et al. 2021 (score SDE), algorithms 3 and 5"
    stochastic: ClassVar[bool] = True
    bias: ClassVar[float] = 0.04

    size: float = Field(0.05, gt=0, lt=1, description="size of the Langevin step in units of sigma²")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Predict, then correct; the clean image is not corrected."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            seen = denoise(x, t)
            alpha_s, sigma_s = process(s)
            x = alpha_s * seen.x0 + sigma_s * seen.eps
            if s >= 0:
                delta = self.size * sigma_s**2
                x = x - delta / sigma_s * denoise(x, s).eps + sqrt(2 * delta) * noise()
            yield x

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        """Return two a step, and one for the last."""
        return 2 * steps - 1


KIND = "sampler"
PLUGIN = PredictorCorrector
