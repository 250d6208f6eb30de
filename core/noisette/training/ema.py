"""The exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from noisette.errors import CheckpointError

__all__ = ["EMA", "averages_of", "file_of", "weights_file"]


class EMA:
    """Averaged weights: w <- decay w + (1 - decay) weights, after every step.

    The decay warms up as (1 + step) / (10 + step), so that early averages are not held back by the start (as in
    the Adam-like correction of TensorFlow's ExponentialMovingAverage). It is a function of the step alone, so a
    resumed run goes on where it was. Only parameters are averaged, never buffers.
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
        """Average in the weights after step `step`, counted from 1."""
        torch._foreach_lerp_(self.weights, self._sources, 1 - self.decay_at(step))

    def state(self) -> dict[str, Tensor]:
        """Return the averaged weights by the parameters' names."""
        return dict(zip(self._names, self.weights, strict=True))

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Take over the weights of `state`."""
        for name, weight in zip(self._names, self.weights, strict=True):
            weight.copy_(state[name])


def averages_of(network: nn.Module, decays: Sequence[float]) -> dict[str, EMA]:
    """Return one average for each decay, by the name of its file in a checkpoint."""
    return {file_of(decay, decays): EMA(network, decay) for decay in decays}


def weights_file(decays: Sequence[float], ema: bool | float) -> str:
    """Return which file of a checkpoint has the asked weights.

    Args:
        decays: those that were averaged with; the first one's file is `ema.safetensors`.
        ema: True for the first average, a number for that of this decay, False for the weights themselves, which
            also stand in where none were averaged.

    Raises:
        CheckpointError: if there is no average of this decay.
    """
    if isinstance(ema, bool):
        return file_of(decays[0], decays) if ema and decays else "network.safetensors"
    if ema not in decays:
        known = f"it has {', '.join(map(str, decays))}" if decays else "it has none"
        raise CheckpointError(f"the checkpoint has no weights averaged with decay {ema}; {known}")
    return file_of(ema, decays)


def file_of(decay: float, decays: Sequence[float]) -> str:
    """Return the name of the file of a decay's average in a checkpoint: the first one's has no number."""
    return "ema.safetensors" if decay == decays[0] else f"ema-{decay}.safetensors"
