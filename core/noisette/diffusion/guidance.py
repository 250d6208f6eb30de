"""Guidance and dynamic thresholding: denoisers that wrap a denoiser, so that every sampler can use them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from noisette.diffusion.denoiser import Denoiser
from noisette.diffusion.prediction import Prediction

__all__ = ["GradientGuided", "Guided", "Thresholded"]


class Guided(Denoiser):
    """Classifier-free guidance (Ho & Salimans 2022, eq. 6): uncond + scale (cond - uncond).

    Scale 1 is the conditional denoiser, without a second network call; the paper's w is scale - 1.

    Args:
        cond: denoiser with labels.
        uncond: denoiser without labels.
        scale: 1 is off, 0 is the unconditional denoiser.
        interval: first and last guided timestep, inclusive; None guides all (Kynkäänniemi et al. 2024).
    """

    def __init__(
        self,
        cond: Denoiser,
        uncond: Denoiser,
        scale: float,
        interval: tuple[int, int] | None = None,
    ) -> None:
        self.cond, self.uncond = cond, uncond
        self.scale, self.interval = scale, interval
        self.process = cond.process

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the guided prediction; x0 and eps are extrapolated alike, so that they agree."""
        cond = self.cond(x_t, t)
        if self.scale == 1 or not self._is_guided_at(t):
            return cond
        uncond = self.uncond(x_t, t)
        x0 = torch.lerp(uncond.x0, cond.x0, self.scale)
        eps = torch.lerp(uncond.eps, cond.eps, self.scale)
        return Prediction(x_t, cond.alpha, cond.sigma, x0=x0, eps=eps, variance_fraction=cond.variance_fraction)

    def _is_guided_at(self, t: int) -> bool:
        return self.interval is None or self.interval[1] <= t <= self.interval[0]


class GradientGuided(Denoiser):
    """Guidance by a gradient (Dhariwal & Nichol 2021, algorithm 2): eps - sigma scale grad log p(y | x_t).

    Args:
        denoise: the denoiser to guide.
        gradient: returns the gradient of log p(y | x_t) for (x_t, t), shaped like x_t, such as a classifier's.
        scale: the paper's s; 0 is off.
    """

    def __init__(self, denoise: Denoiser, gradient: Callable[[Tensor, int], Tensor], scale: float = 1.0) -> None:
        self.denoise, self.gradient, self.scale = denoise, gradient, scale
        self.process = denoise.process

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the guided prediction; x0 moves by sigma² / alpha times scale times the gradient."""
        pred = self.denoise(x_t, t)
        with torch.inference_mode(False), torch.enable_grad():
            shift = self.scale * pred.sigma * self.gradient(x_t.clone(), t).detach()
        x0 = pred.x0 + pred.sigma / pred.alpha * shift if pred.alpha > 0 else pred.x0
        return Prediction(
            x_t, pred.alpha, pred.sigma, x0=x0, eps=pred.eps - shift, variance_fraction=pred.variance_fraction
        )


class Thresholded(Denoiser):
    """Dynamic thresholding (Saharia et al. 2022, section 2.3): scale a predicted x0 beyond [-1, 1] back into it.

    Args:
        denoise: the denoiser.
        quantile: an image is clipped to [-s, s] and divided by s, this quantile of its absolute values, at least 1.
    """

    def __init__(self, denoise: Denoiser, quantile: float = 0.995) -> None:
        self.denoise, self.quantile = denoise, quantile
        self.process = denoise.process

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the inner prediction with x0 thresholded; eps is derived from it."""
        pred = self.denoise(x_t, t)
        magnitudes = pred.x0.abs().flatten(1)
        scale = torch.quantile(magnitudes, self.quantile, dim=1).clamp_(min=1).view(-1, *[1] * (x_t.ndim - 1))
        return pred.with_x0(pred.x0.clamp(-scale, scale) / scale)
