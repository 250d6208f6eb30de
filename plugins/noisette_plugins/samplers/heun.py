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
    """Heun's rule for the probability flow ODE: second order, with two network calls a step.

        x_s / alpha_s = x_t / alpha_t + (rho_s - rho_t) (eps_t + eps_s) / 2,    rho = sigma / alpha

    where eps_s is predicted at the end of Euler's step with eps_t. The last step, to rho = 0, is Euler's, and so is
    a step from pure noise, where rho is infinite. Steps are accurate only if rho changes by a moderate factor: with
    few steps take a spacing that does not end at t = 0, such as ``trailing``, and a schedule that does not begin in
    almost pure noise.
    """

    name: ClassVar[str] = "heun"
    aliases: ClassVar[tuple[str, ...]] = ("edm",)
    paper: ClassVar[str] = "Karras, Aittala, Aila & Laine 2022, algorithm 1 without churn"
    order: ClassVar[int] = 2
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({"spacing": "trailing"},)

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Yield x_s after each step: Euler's step, corrected by the prediction at its end."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            pred_t = denoise(x, t)
            x = alpha_s * pred_t.x0 + sigma_s * pred_t.eps
            if s >= 0 and alpha_t > 0:
                pred_s = denoise(x, s)
                half_step = (sigma_s - alpha_s * sigma_t / alpha_t) / 2
                x = x + half_step * (pred_s.eps - pred_t.eps)
            yield x

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        """Return two calls a step, but one for the last step and for a step from pure noise."""
        return 2 * steps - 1 - (from_noise and steps > 1)
