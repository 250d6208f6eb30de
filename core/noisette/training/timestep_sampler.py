"""Which step each image of a batch is noised to.

Uniform and antithetic steps are a function of the generator alone. Importance sampling also looks at the losses so
far (Nichol & Dhariwal 2021, section 3.3): step t is drawn with p_t ~ sqrt(E[L_t²]) over the last ten losses of each
step, and its loss weighs 1 / (p_t T), so that the mean stays what it was while its noise falls. Until every step
has ten losses, steps are drawn evenly. That history belongs to the state of a training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from noisette.config import Training

__all__ = ["ImportanceTimestepSampler", "TimestepSampler", "make_timestep_sampler"]

_HISTORY = 10
_UNIFORM_SHARE = 0.001  # share of the draws that stay even, so that no step is ever forgotten


class TimestepSampler:
    """Even steps; with `antithetic`, t and T-1-t in pairs."""

    def __init__(self, timesteps: int, *, antithetic: bool = False) -> None:
        self.timesteps, self.antithetic = timesteps, antithetic

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Return steps, (N,) int64, and the weights of their losses, (N,) float32, or None where all are 1."""
        if not self.antithetic:
            return torch.randint(self.timesteps, (count,), generator=generator), None
        half = torch.randint(self.timesteps, ((count + 1) // 2,), generator=generator)
        return torch.cat([half, self.timesteps - 1 - half])[:count], None

    def update(self, t: Tensor, losses: Tensor) -> None:
        """Take note of losses (N,) at steps (N,)."""

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed training needs; empty if nothing."""
        return {}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over a state."""


class ImportanceTimestepSampler(TimestepSampler):
    """Steps drawn by how much their losses vary."""

    def __init__(self, timesteps: int) -> None:
        super().__init__(timesteps)
        self._losses = torch.zeros(timesteps, _HISTORY, dtype=torch.float64)
        self._counts = torch.zeros(timesteps, dtype=torch.int64)

    def probabilities(self) -> Tensor:
        """Return p_t, (T,) float64."""
        even = torch.full((self.timesteps,), 1 / self.timesteps, dtype=torch.float64)
        if int(self._counts.min()) < _HISTORY:
            return even
        sizes = self._losses.square().mean(dim=1).sqrt()
        total = sizes.sum()
        return torch.lerp(sizes / total, even, _UNIFORM_SHARE) if total > 0 else even

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Return steps and the weights 1 / (p_t T) of their losses."""
        p = self.probabilities()
        t = torch.multinomial(p, count, replacement=True, generator=generator)
        return t, (1 / (p[t] * self.timesteps)).float()

    def update(self, t: Tensor, losses: Tensor) -> None:
        """Keep the losses in place of the oldest of their steps; those that are not finite are passed over."""
        for step, loss in zip(t.tolist(), losses.detach().double().cpu(), strict=True):
            if torch.isfinite(loss):
                self._losses[step, int(self._counts[step]) % _HISTORY] = loss
                self._counts[step] += 1

    def state(self) -> dict[str, Tensor]:
        """Return the history."""
        return {"losses": self._losses, "counts": self._counts}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over a history."""
        self._losses.copy_(state["losses"])
        self._counts.copy_(state["counts"])


def make_timestep_sampler(options: Training, timesteps: int) -> TimestepSampler:
    """Return how `training.timestep_sampler` draws steps."""
    if options.timestep_sampler == "importance":
        return ImportanceTimestepSampler(timesteps)
    return TimestepSampler(timesteps, antithetic=options.timestep_sampler == "antithetic")
