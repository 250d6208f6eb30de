"""Heun's rule with churn: before each step noise is added up to a trained step that is noisier."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import isfinite, sqrt
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise, Process


class EDMChurn(Sampler):
    """Heun's rule with churn: before each step noise is added up to a trained step that is noisier.

    It would want to declare that it asks for steps that are not in the walk, above the present one.
    """

    name: ClassVar[str] = "edm-churn"
    paper: ClassVar[str] = "Karras, Aittala, Aila & Laine 2022, algorithm 2"
    order: ClassVar[int] = 2
    stochastic: ClassVar[bool] = True
    renoises: ClassVar[bool] = True
    bias: ClassVar[float] = 0.02

    churn: float = Field(0.2, ge=0, description="how much noise is added: sigma / alpha rises by this share")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Add noise up to step `up`, then step from there to s by Heun's rule."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            up = self._noisier(process, t)
            if up > t:
                jump = process.step_variance(up, t)
                x = sqrt(1 - jump) * x + sqrt(jump) * noise()
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(up), process(s)
            here = denoise(x, up)
            x = alpha_s * here.x0 + sigma_s * here.eps
            if s >= 0 and alpha_t > 0:
                there = denoise(x, s)
                x = x + (sigma_s - alpha_s * sigma_t / alpha_t) / 2 * (there.eps - here.eps)
            yield x

    def _noisier(self, process: Process, t: int) -> int:
        ratios, up = process.ratios, t
        wanted = ratios[t] * (1 + self.churn)
        while up + 1 < len(process) and ratios[up + 1] <= wanted and isfinite(ratios[up + 1]):
            up += 1
        return up

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        """Return two a step, and one for the last."""
        return 2 * steps - 1 - int(from_noise and steps > 1)


KIND = "sampler"
PLUGIN = EDMChurn
