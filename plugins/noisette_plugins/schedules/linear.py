"""The linear schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Linear"]


class Linear(Schedule):
    """Betas that rise linearly, scaled so that the last noise level is about the same for every T.

    beta_t = (1000 / T) (start + (end - start) t / (T - 1))
    """

    name: ClassVar[str] = "linear"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, section 4; the scaling: Nichol & Dhariwal 2021, section 3.3"

    start: float = Field(1e-4, gt=0, lt=1, description="first beta at T = 1000")
    end: float = Field(0.02, gt=0, lt=1, description="last beta at T = 1000")
    scaled: bool = Field(True, description="multiply both by 1000 / T, for about the same noise at the end")

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas from start to end, (T,) float64; none exceeds 0.999."""
        import torch

        scale = 1000 / timesteps if self.scaled else 1.0
        betas = torch.linspace(scale * self.start, scale * self.end, timesteps, dtype=torch.float64)
        return betas.clamp(max=0.999)
