"""DPM-Solver++ of second order, multistep (DPM++ 2M)."""

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
    """DPM-Solver++(2M): an exponential integrator with x0 extrapolated from two steps; one network call a step.

        x_s = (sigma_s / sigma_t) x_t + alpha_s (1 - e^-h) D,    D = x0_t + h / (2 h_before) (x0_t - x0_before)

    with h = lambda_s - lambda_t, lambda = log(alpha / sigma), and x0_before and h_before of the previous step. The
    first and the last step are of first order: D = x0_t. With ``sde`` the reverse SDE is solved instead:

        x_s = (sigma_s / sigma_t) e^-h x_t + alpha_s (1 - e^-2h) D + sigma_s sqrt(1 - e^-2h) z

    The extrapolation is accurate only if h changes little from step to step. With few steps, ``linspace`` ends in a
    long step to t = 0. Prefer ``karras`` for a process that ends at a sigma / alpha of about 100, such as linear's
    (157), and ``trailing`` for one that ends in almost pure noise, such as cosine's (20,000), where ``karras``
    spends most steps. For digits under cosine in 10 steps, KID is 0.18 with ``linspace``, 0.59 with ``karras`` and
    0.07 with ``trailing``.
    """

    name: ClassVar[str] = "dpmpp-2m"
    aliases: ClassVar[tuple[str, ...]] = ("dpm++", "dpm++-2m", "dpmpp", "dpm-solver++", "dpm-solver")
    paper: ClassVar[str] = "Lu et al. 2022 (DPM-Solver++), algorithm 2; SDE form: appendix, eq. 18"
    order: ClassVar[int] = 2
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({"sde": True}, {"spacing": "karras"})

    sde: bool = Field(False, description="solve the reverse SDE: noise at every step but the last")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Yield x_s after each step."""
        process = denoise.process
        x0_before: Tensor | None = None
        h_before = 0.0
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (_, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            h = process.half_log_snr(s) - process.half_log_snr(t)
            x0 = extrapolated = denoise(x, t).x0
            if x0_before is not None and isfinite(h) and isfinite(h_before):
                extrapolated = x0 + h / (2 * h_before) * (x0 - x0_before)
            if self.sde:
                x = sigma_s / sigma_t * exp(-h) * x - alpha_s * expm1(-2 * h) * extrapolated
                if s >= 0:
                    x = x + sigma_s * sqrt(-expm1(-2 * h)) * noise()
            else:
                x = sigma_s / sigma_t * x - alpha_s * expm1(-h) * extrapolated
            x0_before, h_before = x0, h
            yield x
