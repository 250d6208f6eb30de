"""Denoising diffusion probabilistic models (DDPM): ancestral sampling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise, Prediction, Process

__all__ = ["DDPM"]


class DDPM(Sampler):
    """Denoising diffusion probabilistic models: ancestral sampling over all trained timesteps or some of them.

        x_s = c_0 x0 + c_t x_t + std z

    where c_0, c_t and, for ``fixed-small``, std² are mean and variance of q(x_s | x_t, x0), x0 is predicted at x_t
    and z is standard normal noise. For a step over several timesteps, beta is 1 - alpha_t² / alpha_s² (Nichol &
    Dhariwal 2021, section 4). The last step adds no noise.
    """

    name: ClassVar[str] = "ddpm"
    aliases: ClassVar[tuple[str, ...]] = ("ancestral",)
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, algorithm 2 and eq. 7; learned: Nichol & Dhariwal 2021, eq. 15"
    stochastic: ClassVar[bool] = True
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({"variance": "fixed-large"}, {"variance": "learned"})

    steps: PositiveInt = Field(1000, description="number of sampling steps; the paper takes all trained timesteps")
    variance: Literal["fixed-small", "fixed-large", "learned"] = Field(
        "fixed-small",
        description="variance of a step: the posterior's (smallest), beta (largest), or learned by the network",
    )

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Yield x_s after each step, drawn from N(posterior mean, variance)."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            posterior, pred = process.posterior(t, s), denoise(x, t)
            x = posterior.x0_coef * pred.x0 + posterior.xt_coef * x
            if s >= 0:
                x = x + self._std(pred, process, t, s, posterior.variance) * noise()
            yield x

    def _std(self, pred: Prediction, process: Process, t: int, s: int, posterior_variance: float) -> float | Tensor:
        """Return the standard deviation of the step from t to s."""
        if self.variance == "fixed-small":
            return sqrt(posterior_variance)
        if self.variance == "fixed-large":
            return sqrt(process.step_variance(t, s))
        from noisette.plugin_api import log_variance

        return (log_variance(pred.variance_fraction, process, t, s) / 2).exp()

    @property
    def needs_learned_variance(self) -> bool:
        """Whether the network must have learned the variance."""
        return self.variance == "learned"
