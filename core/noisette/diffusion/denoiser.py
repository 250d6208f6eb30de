"""Denoisers: what a sampler calls, and the clipping of the predicted image."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from noisette.diffusion.prediction import Prediction
from noisette.diffusion.process import Process

__all__ = ["Clipped", "Denoiser"]


class Denoiser(ABC):
    """Predicts the clean image and the noise: `denoise(x_t, t)` with x_t (N, C, H, W) and one timestep t for all.

    Attributes:
        process: the forward process.
    """

    process: Process

    @abstractmethod
    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the prediction at timestep t."""


class Clipped(Denoiser):
    """Clip the predicted x0 to [-bound, bound] (Ho et al. 2020); eps is derived from the clipped x0.

    Args:
        denoise: the denoiser.
        bound: largest absolute value of x0; images are within [-1, 1].
    """

    def __init__(self, denoise: Denoiser, bound: float = 1.0) -> None:
        self.denoise, self.bound = denoise, bound
        self.process = denoise.process

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the inner prediction with x0 clipped."""
        pred = self.denoise(x_t, t)
        return pred.with_x0(pred.x0.clamp(-self.bound, self.bound))
