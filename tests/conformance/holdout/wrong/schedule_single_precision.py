"""The cosine schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class SinglePrecision(Schedule):
    """The cosine schedule."""

    name: ClassVar[str] = "cosine-single"
    paper: ClassVar[str] = "Nichol & Dhariwal 2021, eq. 17"

    s: float = Field(0.008, gt=0, lt=1, description="offset")

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas."""
        import torch

        t = torch.arange(timesteps + 1) / timesteps
        signal = torch.cos((t + self.s) / (1 + self.s) * math.pi / 2) ** 2
        return (1 - signal[1:] / signal[:-1]).clamp(max=0.999).double()


KIND = "schedule"
PLUGIN = SinglePrecision
CAUSE = (
    "the betas are computed in float32 and cast at the end: 1 - f(t+1) / f(t) keeps three digits of the small ones"
)
WORDS = ("float64", "float32", "precision")
