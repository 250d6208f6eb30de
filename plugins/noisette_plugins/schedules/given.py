"""A schedule whose betas the user gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, field_validator

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Given"]


class Given(Schedule):
    """The betas of the config, one for each of the T steps."""

    name: ClassVar[str] = "given"

    values: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(description="the betas, as many as timesteps")

    @field_validator("values")
    @classmethod
    def _last_alone_may_be_one(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not values or 1.0 in values[:-1]:
            raise ValueError("expected at least one beta, and none but the last to be 1")
        return values

    @property
    def has_zero_terminal_snr(self) -> bool:
        """Whether the last beta is 1."""
        return self.values[-1] == 1

    @property
    def length(self) -> int:
        """As many as there are betas."""
        return len(self.values)

    def betas(self, timesteps: int) -> Tensor:
        """Return the betas, (T,) float64."""
        import torch

        return torch.tensor(self.values, dtype=torch.float64)
