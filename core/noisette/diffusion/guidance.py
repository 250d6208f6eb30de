"""Guidance and bounds: denoisers round a denoiser, so that every sampler has them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from noisette.diffusion.denoiser import Denoiser
from noisette.diffusion.prediction import Prediction

__all__ = ["GradientGuided", "Guided", "Thresholded"]


class Guided(Denoiser):
    """Classifier-free guidance (Ho & Salimans 2022, eq. 6): (1 + w) conditional - w unconditional.

    Strength 0 is the plain conditional denoiser and costs no further network call.

    Args:
        conditional: sees the classes.
        unconditional: sees none.
        strength: w; some code calls w + 1 the guidance scale.
        interval: first and last step (both included) that are guided; None guides all of them
            (Kynkäänniemi et al. 2024).
    """

    def __init__(
        self,
        conditional: Denoiser,
        unconditional: Denoiser,
        strength: float,
        interval: tuple[int, int] | None = None,
    ) -> None:
        self.conditional, self.unconditional = conditional, unconditional
        self.strength, self.interval = strength, interval
        self.schedule = conditional.schedule

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the guided prediction; both dialects are extrapolated, so they agree."""
        seen = self.conditional(x_t, t)
        if self.strength == 0 or not self._guides(t):
            return seen
        blind, w = self.unconditional(x_t, t), self.strength
        x0 = torch.lerp(blind.x0, seen.x0, 1 + w)
        eps = torch.lerp(blind.eps, seen.eps, 1 + w)
        return Prediction(x_t, seen.alpha, seen.sigma, x0=x0, eps=eps, fractions=seen.fractions)

    def _guides(self, t: int) -> bool:
        return self.interval is None or self.interval[1] <= t <= self.interval[0]


class GradientGuided(Denoiser):
    """Guidance by a gradient (Dhariwal & Nichol 2021, algorithm 2): eps - sigma w grad log p(y | x_t).

    Args:
        denoise: the denoiser that is guided.
        gradient: returns the gradient of log p(y | x_t) for (x_t, t), shaped as x_t; where it comes from, a
            classifier or any other score, is the caller's.
        strength: w.
    """

    def __init__(self, denoise: Denoiser, gradient: Callable[[Tensor, int], Tensor], strength: float = 1.0) -> None:
        self.denoise, self.gradient, self.strength = denoise, gradient, strength
        self.schedule = denoise.schedule

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the guided prediction; x0 moves by sigma² / alpha w times the gradient."""
        seen = self.denoise(x_t, t)
        with torch.inference_mode(False), torch.enable_grad():
            push = self.strength * seen.sigma * self.gradient(x_t.clone(), t).detach()
        x0 = seen.x0 + seen.sigma / seen.alpha * push if seen.alpha > 0 else seen.x0
        return Prediction(x_t, seen.alpha, seen.sigma, x0=x0, eps=seen.eps - push, fractions=seen.fractions)


class Thresholded(Denoiser):
    """Dynamic thresholding (Saharia et al. 2022, section 2.3): scale a picture that leaves [-1, 1] back into it.

    Args:
        denoise: the denoiser that is bounded.
        quantile: share of a picture's values that decide its scale s; the picture is clipped to [-s, s], s at
            least 1, and divided by s.
    """

    def __init__(self, denoise: Denoiser, quantile: float = 0.995) -> None:
        self.denoise, self.quantile = denoise, quantile
        self.schedule = denoise.schedule

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the inner prediction with x0 bounded and its noise derived again."""
        seen = self.denoise(x_t, t)
        sizes = seen.x0.abs().flatten(1)
        scale = torch.quantile(sizes, self.quantile, dim=1).clamp_(min=1).view(-1, *[1] * (x_t.ndim - 1))
        return seen.with_x0(seen.x0.clamp(-scale, scale) / scale)
