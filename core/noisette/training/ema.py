"""The exponential moving average of the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noisette.config.training import EMAWarmup, Training
from noisette.model.weights import ema_file_name

__all__ = ["EMA", "make_emas"]


class EMA:
    """Averaged weights: w <- decay w + (1 - decay) weights, after steps 1, 1 + every, 1 + 2 every, ...

    The decay is a function of the step alone; with a warm-up, early averages do not depend on the initial weights.
    Buffers are not averaged.

    Args:
        network: the network.
        decay: the decay after the warm-up.
        warmup: "none"; "tensorflow", (1 + step) / (10 + step), as in its ExponentialMovingAverage; or
            "ema_pytorch", as in the class EMA of this library: copies of the weights up to step 101, then
            1 - (step - 100)^(-2/3).
        every: steps between updates, as `update_every` of ema_pytorch.
    """

    def __init__(self, network: nn.Module, decay: float, warmup: EMAWarmup = "tensorflow", every: int = 1) -> None:
        self.decay, self.warmup, self.every = decay, warmup, every
        self._sources: list[Tensor] = list(network.parameters())
        self._names = [name for name, _ in network.named_parameters()]
        self.weights = [source.detach().clone() for source in self._sources]

    def decay_at(self, step: int) -> float:
        """Return the decay of the update after `step` steps."""
        if self.warmup == "none":
            return self.decay
        rising = (1 + step) / (10 + step) if self.warmup == "tensorflow" else 1 - max(step - 100, 1) ** (-2 / 3)
        return min(self.decay, rising)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average with the weights after step `step`, counted from 1, if an update is due."""
        if (step - 1) % self.every == 0:
            torch._foreach_lerp_(self.weights, self._sources, 1 - self.decay_at(step))

    def state(self) -> dict[str, Tensor]:
        """Return the averaged weights by the parameters' names."""
        return dict(zip(self._names, self.weights, strict=True))

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Load averaged weights."""
        for name, weight in zip(self._names, self.weights, strict=True):
            weight.copy_(state[name])


def make_emas(network: nn.Module, options: Training) -> dict[str, EMA]:
    """Return one average for each decay of the options, by the name of its file in a checkpoint."""
    return {
        ema_file_name(decay, options.decays): EMA(network, decay, options.ema_warmup, options.ema_update_every)
        for decay in options.decays
    }
