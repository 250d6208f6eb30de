"""Signal that falls in a straight line."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class SignalFloor(Schedule):
    """Signal that falls in a straight line."""

    name: ClassVar[str] = "linear-signal"

    floor: float = Field(5e-4, gt=0, lt=1, description="least signal alpha²")

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas."""
        import torch

        signal = (1 - torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)).clamp(min=self.floor)
        return 1 - signal[1:] / signal[:-1]


KIND = "schedule"
PLUGIN = SignalFloor
CAUSE = (
    "the signal is floored at 5e-4 to be safe: for T of 2000 or more several steps lie at the floor, "
    "whose betas are 0, which is not in (0, 1)"
)
WORDS = ("beta", "0", "(0")
