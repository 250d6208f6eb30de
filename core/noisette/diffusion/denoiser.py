"""Denoisers: what a sampler calls, and the wrappers that core stacks round them."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from noisette.diffusion.prediction import Prediction
from noisette.diffusion.process import Process

__all__ = ["Clipped", "Denoiser"]


class Denoiser(ABC):
    """A view of noisy images: called as `denoise(x_t, t)` with x_t (N, C, H, W) and one step t for all.

    Attributes:
        process: the tables of the forward process it was made for.
    """

    process: Process

    @abstractmethod
    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return what it sees at step t."""


class Clipped(Denoiser):
    """Keep the predicted image within [-1, 1], where images live; the noise follows it.

    Ho et al. 2020 sample so. Without the noise derived again, a sampler that uses both would contradict itself.
    """

    def __init__(self, denoise: Denoiser, bound: float = 1.0) -> None:
        self.denoise, self.bound = denoise, bound
        self.process = denoise.process

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the inner prediction with x0 clipped."""
        prediction = self.denoise(x_t, t)
        return prediction.with_x0(prediction.x0.clamp(-self.bound, self.bound))
