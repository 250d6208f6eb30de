"""The cosine schedule down to no signal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class ClippedTerminal(Schedule):
    """The cosine schedule down to no signal."""

    name: ClassVar[str] = "cosine-terminal"
    paper: ClassVar[str] = "Lin, Liu, Li & Yang 2024"

    @property
    def has_zero_terminal_snr(self) -> bool:
        """True."""
        return True

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas."""
        import torch

        t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
        signal = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
        return (1 - signal[1:] / signal[:-1]).clamp(max=0.999)


KIND = "schedule"
PLUGIN = ClippedTerminal
CAUSE = (
    "has_zero_terminal_snr is True, but the betas are clipped to 0.999: valid configs are refused, and no zero "
    "terminal signal is had"
)
WORDS = ("has_zero_terminal_snr", "last beta", "terminal")
