"""A linear schedule with a ripple: its betas fall in places."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import (
    Schedule,
)

if TYPE_CHECKING:
    from torch import Tensor


class Waves(Schedule):
    """A linear schedule with a ripple: its betas fall in places."""

    name: ClassVar[str] = "ripples"
    is_monotonic: ClassVar[bool] = False

    ripple: float = Field(0.3, ge=0, lt=1, description="height of the ripple, as a share")

    def betas(self, timesteps: int) -> Tensor:
        """Return the variances, (T,) float64."""
        import torch

        t = (torch.arange(timesteps, dtype=torch.float64) + 0.5) / timesteps
        rate = (0.1 + 19.9 * t) * (1 + self.ripple * torch.sin(6 * math.pi * t))
        return -torch.expm1(-rate / timesteps)


KIND = "schedule"
PLUGIN = Waves
