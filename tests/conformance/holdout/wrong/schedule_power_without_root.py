"""Betas that rise as a power of a straight line."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class PowerWithoutRoot(Schedule):
    """Betas that rise as a power of a straight line."""

    name: ClassVar[str] = "power"

    power: float = Field(1.0, gt=0, le=4, description="1 is linear, 2 quadratic")

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas from 1e-4 to 0.02, scaled as at T = 1000."""
        import torch

        scale = 1000 / timesteps
        return (scale * torch.linspace(1e-4, 0.02, timesteps, dtype=torch.float64) ** self.power).clamp(max=0.999)


KIND = "schedule"
PLUGIN = PowerWithoutRoot
CAUSE = (
    "the ends are not taken to the power's root first: at any power but 1 the process ends with nearly "
    "all signal left"
)
WORDS = ("signal", "noise", "power", "end")
