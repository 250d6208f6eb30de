"""The ancestral sampler."""

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
    """Denoising diffusion probabilistic models: ancestral sampling, over all steps or some of them.

    Over some of the steps, beta is that of the jump from s to t (Nichol & Dhariwal 2021, section 4).
    """

    name: ClassVar[str] = "ddpm"
    aliases: ClassVar[tuple[str, ...]] = ("ancestral",)
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, algorithm 2 and eq. 7; learned: Nichol & Dhariwal 2021, eq. 15"
    stochastic: ClassVar[bool] = True
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({"variance": "fixed-large"}, {"variance": "learned"})

    steps: PositiveInt = Field(1000, description="steps of the walk; the paper takes all that were trained")
    variance: Literal["fixed-small", "fixed-large", "learned"] = Field(
        "fixed-small",
        description="that of the posterior (the least), beta itself (the largest), or what the network learned",
    )

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Draw x_s from N(posterior mean, variance); the last step adds no noise."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            posterior, pred = process.posterior(t, s), denoise(x, t)
            x = posterior.x0_coef * pred.x0 + posterior.xt_coef * x
            if s >= 0:
                x = x + self._std(pred, process, t, s, posterior.variance) * noise()
            yield x

    def _std(self, pred: Prediction, process: Process, t: int, s: int, least: float) -> float | Tensor:
        """Return the standard deviation of the step from t to s, whose posterior has the variance `least`."""
        if self.variance == "fixed-small":
            return sqrt(least)
        if self.variance == "fixed-large":
            return sqrt(process.step_variance(t, s))
        from noisette.plugin_api import log_variance

        return (log_variance(pred.variance_fraction, process, t, s) / 2).exp()

    @property
    def needs_learned_variance(self) -> bool:
        """Whether the network must tell the variance."""
        return self.variance == "learned"
