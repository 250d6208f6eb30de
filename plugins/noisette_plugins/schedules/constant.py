"""The constant schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Constant"]


class Constant(Schedule):
    """The same variance at every timestep: beta_t = beta."""

    name: ClassVar[str] = "constant"
    paper: ClassVar[str] = "Sohl-Dickstein, Weiss, Maheswaranathan & Ganguli 2015, section 2.4"

    beta: float = Field(0.01, gt=0, lt=1, description="beta of every timestep")

    def betas(self, timesteps: int) -> Tensor:
        """Return T times beta, (T,) float64."""
        import torch

        return torch.full((timesteps,), self.beta, dtype=torch.float64)
