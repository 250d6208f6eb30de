"""The cosine schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Cosine"]


class Cosine(Schedule):
    """A signal that falls as a squared cosine, slowly at both ends.

    alpha_t² = f(t) / f(0),    f(t) = cos²((t/T + s) / (1 + s) pi/2)
    """

    name: ClassVar[str] = "cosine"
    paper: ClassVar[str] = "Nichol & Dhariwal 2021, eq. 17"

    s: float = Field(0.008, gt=0, lt=1, description="offset that keeps the first betas from vanishing")
    max_beta: float = Field(0.999, gt=0, lt=1, description="largest beta, to avoid a singularity at the end")

    def betas(self, timesteps: int) -> Tensor:
        """Return beta_t = 1 - f(t+1) / f(t), (T,) float64."""
        import torch

        t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
        signal = torch.cos((t + self.s) / (1 + self.s) * math.pi / 2) ** 2
        return (1 - signal[1:] / signal[:-1]).clamp(max=self.max_beta)
