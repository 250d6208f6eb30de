"""The cosine schedule, in full."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class CosineUnclipped(Schedule):
    """The cosine schedule, in full."""

    name: ClassVar[str] = "cosine-full"
    paper: ClassVar[str] = "Nichol & Dhariwal 2021, eq. 17"

    s: float = Field(0.008, gt=0, lt=1, description="offset")

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas."""
        import torch

        t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
        signal = torch.cos((t + self.s) / (1 + self.s) * math.pi / 2) ** 2
        return 1 - signal[1:] / signal[:-1]


KIND = "schedule"
PLUGIN = CosineUnclipped
CAUSE = (
    "betas are not clipped, so the last one is 1, but has_zero_terminal_snr is False: core lets objectives that "
    "need signal have it"
)
WORDS = ("has_zero_terminal_snr", "last beta", "terminal")
