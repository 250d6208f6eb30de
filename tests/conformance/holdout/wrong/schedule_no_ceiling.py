"""Linear betas, scaled to T."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class NoCeiling(Schedule):
    """Linear betas, scaled to T."""

    name: ClassVar[str] = "linear-scaled"
    paper: ClassVar[str] = "Nichol & Dhariwal 2021, section 3.3"

    start: float = Field(1e-4, gt=0, lt=1, description="first beta at T = 1000")
    end: float = Field(0.02, gt=0, lt=1, description="last beta at T = 1000")

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas."""
        import torch

        scale = 1000 / timesteps
        return torch.linspace(scale * self.start, scale * self.end, timesteps, dtype=torch.float64)


KIND = "schedule"
PLUGIN = NoCeiling
CAUSE = "scaled by 1000 / T without a ceiling: betas exceed 1 for T of 20 or less"
WORDS = ("beta", "1)", "T", "(0")
