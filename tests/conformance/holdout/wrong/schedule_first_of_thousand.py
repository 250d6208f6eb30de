"""Linear betas."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class FirstOfThousand(Schedule):
    """Linear betas."""

    name: ClassVar[str] = "linear-thousand"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, section 4"

    start: float = Field(1e-4, gt=0, lt=1, description="first beta")
    end: float = Field(0.02, gt=0, lt=1, description="last beta")

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas."""
        import torch

        return torch.linspace(self.start, self.end, 1000, dtype=torch.float64)[:timesteps]


KIND = "schedule"
PLUGIN = FirstOfThousand
CAUSE = (
    "it is always the beginning of a table of 1000 steps: a shorter process ends far from noise, and a "
    "longer one has too few betas"
)
WORDS = ("timesteps", "T", "length", "noise")
