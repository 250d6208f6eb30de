"""Linear betas, computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class CacheWithoutOptions(Schedule):
    """Linear betas, computed once."""

    name: ClassVar[str] = "linear-cached"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, section 4"

    _cache: ClassVar[dict[int, Any]] = {}

    start: float = Field(1e-4, gt=0, lt=1, description="first beta at T = 1000")
    end: float = Field(0.02, gt=0, lt=1, description="last beta at T = 1000")

    def betas(self, timesteps: int) -> Tensor:
        """Return T betas."""
        import torch

        if timesteps not in self._cache:
            scale = 1000 / timesteps
            betas = torch.linspace(scale * self.start, scale * self.end, timesteps, dtype=torch.float64)
            self._cache[timesteps] = betas.clamp(max=0.999)
        return self._cache[timesteps]


KIND = "schedule"
PLUGIN = CacheWithoutOptions
CAUSE = "the betas are cached by T alone, so the second schedule of a process has the options of the first"
WORDS = ("cache", "option", "state")
