"""Heun's second-order rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise

__all__ = ["Heun"]


class Heun(Sampler):
    """Follow the noise of both ends of a step, averaged: second order for two network calls a step.

    In the coordinates x / alpha and rho = sigma / alpha the probability flow is d(x / alpha) = eps d(rho). The last
    step, to rho = 0, is Euler's, as is one from pure noise, where rho is infinite. Steps are only good where rho
    changes by a moderate factor: a few of them want a spacing that does not end at t = 0, such as ``trailing``, and
    a schedule that does not begin in almost pure noise.
    """

    name: ClassVar[str] = "heun"
    aliases: ClassVar[tuple[str, ...]] = ("edm",)
    paper: ClassVar[str] = "Karras, Aittala, Aila & Laine 2022, algorithm 1 without churn"
    order: ClassVar[int] = 2
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({"spacing": "trailing"},)

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step with Euler's rule, look again, and step with the mean of both directions."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            pred_t = denoise(x, t)
            x = alpha_s * pred_t.x0 + sigma_s * pred_t.eps
            if s >= 0 and alpha_t > 0:
                pred_s = denoise(x, s)
                bend = (sigma_s - alpha_s * sigma_t / alpha_t) / 2
                x = x + bend * (pred_s.eps - pred_t.eps)
            yield x

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        """Return two a step, and one for the last and for one from pure noise."""
        return 2 * steps - 1 - (from_noise and steps > 1)
