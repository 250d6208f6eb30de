"""Sources of noise for the checks."""

from __future__ import annotations

import torch
from torch import Tensor

from noisette.diffusion import Noise
from noisette.diffusion.noise import seeded_generator

__all__ = ["BasisNoise", "BatchNoise", "CountedNoise", "EmptyNoise", "SwitchableNoise"]


class BatchNoise(Noise):
    """Standard normal noise for a whole batch from one generator: fast, for statistics."""

    def __init__(self, seed: int, like: Tensor) -> None:
        self._generator, self._like = seeded_generator(seed, "testing"), like

    def __call__(self) -> Tensor:
        """Return new noise of the batch's shape."""
        draw = torch.randn(self._like.shape, dtype=torch.float64, generator=self._generator)
        return draw.to(self._like)


class CountedNoise(Noise):
    """Noise of zeros that counts its calls."""

    def __init__(self, like: Tensor) -> None:
        self._like, self.draws = like, 0

    def __call__(self) -> Tensor:
        """Return zeros."""
        self.draws += 1
        return torch.zeros_like(self._like)


class EmptyNoise(Noise):
    """Noise without values, on any device: for trajectories of which only shapes matter."""

    def __init__(self, like: Tensor) -> None:
        self._like = like

    def __call__(self) -> Tensor:
        """Return an empty tensor."""
        return torch.empty_like(self._like)


class BasisNoise(Noise):
    """Unit noise: call k returns the unit vector e_d for row `first` + k D + d, and zero for every other row."""

    def __init__(self, like: Tensor, first: int) -> None:
        self._like, self._first, self.draws = like, first, 0

    def __call__(self) -> Tensor:
        """Return the unit vectors of the next call; zeros if no row is left for it."""
        draw = torch.zeros_like(self._like)
        size = draw[0].numel()
        own = draw.flatten(1)[self._first + self.draws * size :][:size]
        own.copy_(torch.eye(size)[: len(own)])
        self.draws += 1
        return draw


class SwitchableNoise(Noise):
    """Noise from a source that can be replaced during a trajectory."""

    def __init__(self, source: Noise) -> None:
        self.source = source

    def __call__(self) -> Tensor:
        """Return the noise of the current source."""
        return self.source()
