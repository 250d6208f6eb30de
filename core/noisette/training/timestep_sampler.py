"""The timesteps of a batch.

Uniform and antithetic timesteps are a function of the generator alone. Importance sampling also uses the losses
so far (Nichol & Dhariwal 2021, section 3.3): timestep t is drawn with p_t ~ sqrt(E[L_t²]) over its last ten
losses, and its loss has weight 1 / (p_t T), which keeps the expected loss and reduces its variance. Until every
timestep has ten losses, the distribution is uniform. The losses are part of the state of a training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from noisette.config import Training

__all__ = ["ImportanceTimestepSampler", "TimestepSampler", "make_timestep_sampler"]

_HISTORY = 10
_UNIFORM_SHARE = 0.001  # weight of the uniform distribution, so that every timestep keeps being drawn


class TimestepSampler:
    """Uniform timesteps; with `antithetic`, pairs of t and T-1-t."""

    def __init__(self, timesteps: int, *, antithetic: bool = False) -> None:
        self.timesteps, self.antithetic = timesteps, antithetic

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Return timesteps, (N,) int64, and the weights of their losses, (N,) float32, or None if all are 1."""
        if not self.antithetic:
            return torch.randint(self.timesteps, (count,), generator=generator), None
        half = torch.randint(self.timesteps, ((count + 1) // 2,), generator=generator)
        return torch.cat([half, self.timesteps - 1 - half])[:count], None

    def update(self, t: Tensor, losses: Tensor) -> None:
        """Record losses, (N,), at timesteps, (N,)."""

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that a resumed training needs."""
        return {}

    def load(self, state: dict[str, Tensor]) -> None:
        """Load the tensors of `state`."""


class ImportanceTimestepSampler(TimestepSampler):
    """Timesteps drawn with a probability that grows with their losses."""

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
        """Return timesteps and the weights 1 / (p_t T) of their losses."""
        p = self.probabilities()
        t = torch.multinomial(p, count, replacement=True, generator=generator)
        return t, (1 / (p[t] * self.timesteps)).float()

    def update(self, t: Tensor, losses: Tensor) -> None:
        """Replace the oldest losses of the timesteps; losses that are not finite are ignored."""
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
