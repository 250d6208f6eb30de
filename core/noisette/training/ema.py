"""The exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from noisette.model.weights import ema_file_name

__all__ = ["EMA", "make_emas"]


class EMA:
    """Averaged weights: w <- decay w + (1 - decay) weights, after every step.

    The decay warms up as (1 + step) / (10 + step), as in TensorFlow's ExponentialMovingAverage, so that early
    averages do not depend on the initial weights. It is a function of the step alone. Buffers are not averaged.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._sources: list[Tensor] = list(network.parameters())
        self._names = [name for name, _ in network.named_parameters()]
        self.weights = [source.detach().clone() for source in self._sources]

    def decay_at(self, step: int) -> float:
        """Return the decay used after `step` steps."""
        return min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average with the weights after step `step`, counted from 1."""
        torch._foreach_lerp_(self.weights, self._sources, 1 - self.decay_at(step))

    def state(self) -> dict[str, Tensor]:
        """Return the averaged weights by the parameters' names."""
        return dict(zip(self._names, self.weights, strict=True))

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Load averaged weights."""
        for name, weight in zip(self._names, self.weights, strict=True):
            weight.copy_(state[name])


def make_emas(network: nn.Module, decays: Sequence[float]) -> dict[str, EMA]:
    """Return one average for each decay, by the name of its file in a checkpoint."""
    return {ema_file_name(decay, decays): EMA(network, decay) for decay in decays}
