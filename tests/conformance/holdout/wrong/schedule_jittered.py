"""Linear betas with jitter against aliasing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class Jittered(Schedule):
    """Linear betas with jitter against aliasing."""

    name: ClassVar[str] = "linear-jittered"

    jitter: float = Field(0.01, ge=0, lt=1, description="relative size of the jitter")

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas."""
        import torch

        scale = 1000 / timesteps
        betas = torch.linspace(scale * 1e-4, scale * 0.02, timesteps, dtype=torch.float64)
        return (betas * (1 + self.jitter * torch.randn(timesteps, dtype=torch.float64))).clamp(1e-6, 0.999)


KIND = "schedule"
PLUGIN = Jittered
CAUSE = (
    "the betas are jittered by torch's global generator: another process at every call, so a checkpoint "
    "is sampled with another schedule than it was trained with"
)
WORDS = ("global", "random", "same", "determin", "twice")
