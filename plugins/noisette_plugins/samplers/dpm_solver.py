"""DPM-Solver++ of second order, from two steps: DPM++ 2M."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import exp, expm1, isfinite, sqrt
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise

__all__ = ["DPMSolverPP"]


class DPMSolverPP(Sampler):
    """DPM-Solver++(2M): the exact linear part, and x0 extrapolated from the step before; one call a step.

    With lambda = log(alpha / sigma) and h = lambda_s - lambda_t. The first and the last step are of first order.

    What is extrapolated is only good where h changes little from step to step. Of few steps ``linspace`` ends in a
    long one, to t = 0: take ``karras`` for a process that ends at a sigma / alpha of about 100, as linear's does
    (157), and ``trailing`` for one that ends in nearly pure noise, as cosine's does (20,000), where ``karras``
    spends most steps. For digits under cosine in 10 steps KID is 0.18 with ``linspace``, 0.59 with ``karras`` and
    0.07 with ``trailing``.
    """

    name: ClassVar[str] = "dpmpp-2m"
    aliases: ClassVar[tuple[str, ...]] = ("dpm++", "dpm++-2m", "dpmpp", "dpm-solver++", "dpm-solver")
    paper: ClassVar[str] = "Lu et al. 2022 (DPM-Solver++), algorithm 2; SDE form: appendix, eq. 18"
    order: ClassVar[int] = 2
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({"sde": True}, {"spacing": "karras"})

    sde: bool = Field(False, description="solve the stochastic equation: noise at every step but the last")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step to x_s = (sigma_s / sigma_t) x + alpha_s (1 - e^-h) D, D extrapolated over half a step."""
        process = denoise.process
        before: Tensor | None = None
        length = 0.0
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (_, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            h = process.half_log_snr(s) - process.half_log_snr(t)
            x0 = image = denoise(x, t).x0
            if before is not None and isfinite(h) and isfinite(length):
                image = x0 + h / (2 * length) * (x0 - before)
            if self.sde:
                x = sigma_s / sigma_t * exp(-h) * x - alpha_s * expm1(-2 * h) * image
                if s >= 0:
                    x = x + sigma_s * sqrt(-expm1(-2 * h)) * noise()
            else:
                x = sigma_s / sigma_t * x - alpha_s * expm1(-h) * image
            before, length = x0, h
            yield x
