"""Quadratic betas, scaled by a strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PrivateAttr

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class ScaledInPlace(Schedule):
    """Quadratic betas, scaled by a strength."""

    name: ClassVar[str] = "quadratic-scaled"

    strength: float = Field(0.9, gt=0, le=1, description="factor of all betas")

    _base: dict[int, Any] = PrivateAttr(default_factory=dict)

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas."""
        import torch

        if timesteps not in self._base:
            self._base[timesteps] = torch.linspace(0.01, 0.02**0.5, timesteps, dtype=torch.float64) ** 2
        return self._base[timesteps].mul_(self.strength)


KIND = "schedule"
PLUGIN = ScaledInPlace
CAUSE = "the cached base table is scaled in place at every call, so a second call gives other betas"
WORDS = ("second", "twice", "in place", "in-place", "same")
