"""A schedule of explicit betas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, field_validator

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Given"]


class Given(Schedule):
    """The betas that the config lists, one for each of the T timesteps."""

    name: ClassVar[str] = "given"

    values: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(description="the betas, one for each timestep")

    @field_validator("values")
    @classmethod
    def _check_values(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not values or 1.0 in values[:-1]:
            raise ValueError("expected at least one beta, all below 1 except the last")
        return values

    @property
    def has_zero_terminal_snr(self) -> bool:
        """Whether the last beta is 1."""
        return self.values[-1] == 1

    @property
    def length(self) -> int:
        """The number of betas."""
        return len(self.values)

    def betas(self, timesteps: int) -> Tensor:
        """Return the betas, (T,) float64."""
        import torch

        return torch.tensor(self.values, dtype=torch.float64)
