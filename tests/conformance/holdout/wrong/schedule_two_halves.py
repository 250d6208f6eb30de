"""Betas that rise slowly, then fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class TwoHalves(Schedule):
    """Betas that rise slowly, then fast."""

    name: ClassVar[str] = "two-speeds"

    middle: float = Field(0.005, gt=0, lt=0.02, description="beta in the middle at T = 1000")

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas."""
        import torch

        scale, half = 1000 / timesteps, timesteps // 2
        slow = torch.linspace(1e-4, self.middle, half, dtype=torch.float64)
        fast = torch.linspace(self.middle, 0.02, half, dtype=torch.float64)
        return (scale * torch.cat([slow, fast])).clamp(max=0.999)


KIND = "schedule"
PLUGIN = TwoHalves
CAUSE = "it is made of two halves of T // 2 betas, one too few for an odd T"
WORDS = ("odd", "T", "length", "timesteps", "betas")
