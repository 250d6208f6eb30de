"""Schedules whose betas are the squares of a straight line."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Quadratic", "ScaledLinear"]


class Quadratic(Schedule):
    """Betas whose square roots rise linearly: less early noise than `linear`, with the same ends."""

    name: ClassVar[str] = "quadratic"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, the `quad` schedule of their code"

    start: float = Field(1e-4, gt=0, lt=1, description="first beta")
    end: float = Field(0.02, gt=0, lt=1, description="last beta")

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas from start to end, (T,) float64."""
        return _squares(self.start, self.end, timesteps)


class ScaledLinear(Schedule):
    """The schedule of latent diffusion: quadratic with its own ends."""

    name: ClassVar[str] = "scaled-linear"
    paper: ClassVar[str] = "Rombach, Blattmann, Lorenz, Esser & Ommer 2022, their code"

    start: float = Field(0.00085, gt=0, lt=1, description="first beta")
    end: float = Field(0.012, gt=0, lt=1, description="last beta")

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas from start to end, (T,) float64."""
        return _squares(self.start, self.end, timesteps)


def _squares(start: float, end: float, timesteps: int) -> Tensor:
    import torch

    return torch.linspace(start**0.5, end**0.5, timesteps, dtype=torch.float64) ** 2
