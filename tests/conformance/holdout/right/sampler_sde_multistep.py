"""DPM-Solver++(2M) for the stochastic equation, with as much noise as is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import exp, expm1, isfinite, sqrt
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class SDEMultistep(Sampler):
    """DPM-Solver++(2M) for the stochastic equation, with as much noise as is asked for.

    It would want to declare that `order` is that of its deterministic part at eta 0, not of its samples.
    """

    name: ClassVar[str] = "sde-multistep"
    paper: ClassVar[str] = "Lu et al. 2022 (DPM-Solver++), eq. 18; Xue et al. 2023 (SA-Solver)"
    order: ClassVar[int] = 2
    stochastic: ClassVar[bool] = True

    eta: float = Field(1.0, ge=0, description="share of the noise; 0 solves the ordinary equation")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step exactly for an x0 that is linear in lambda, of the equation whose noise is eta times as strong."""
        process, before, length = denoise.process, None, 0.0
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (_, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            h = process.half_log_snr(s) - process.half_log_snr(t)
            x0 = image = denoise(x, t).x0
            if before is not None and isfinite(h) and isfinite(length):
                image = x0 + h / (2 * length) * (x0 - before)
            square = self.eta**2
            fades = exp(-square * h) if square else 1.0
            x = sigma_s / sigma_t * fades * x - alpha_s * expm1(-(1 + square) * h) * image
            if s >= 0 and self.eta > 0:
                x = x + sigma_s * sqrt(-expm1(-2 * square * h)) * noise()
            before, length = x0, h
            yield x


KIND = "sampler"
PLUGIN = SDEMultistep
