"""Betas that do not rise from step to step: a fast and a slow step take turns about a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class Staircase(Schedule):
    """Betas that do not rise from step to step: a fast and a slow step take turns about a line."""

    name: ClassVar[str] = "staircase"
    is_monotonic: ClassVar[bool] = False

    swing: float = Field(0.5, ge=0, lt=1, description="relative distance of both from the line")

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas; any T works, and the noise at the end is about linear's."""
        import torch

        scale = 1000 / timesteps
        line = torch.linspace(scale * 1e-4, scale * 0.02, timesteps, dtype=torch.float64)
        turns = 1 + self.swing * (1 - 2 * (torch.arange(timesteps) % 2).double())
        return (line * turns).clamp(max=0.999)


KIND = "schedule"
PLUGIN = Staircase
