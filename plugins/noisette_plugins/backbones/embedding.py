"""What a network is told beside the picture: the step, as waves of many lengths, and the label.

Both are computed in float32 whatever the network computes in: bfloat16 cannot tell step 999 from step 1000.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

__all__ = ["Embedding", "LearnedWaves", "Waves", "full_precision"]


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context without autocast."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


class Waves(nn.Module):
    """Sines and cosines of the step t, (N,) to (N, 2 count), at the rates theta^(-i / (count - shift)).

    Vaswani et al. 2017, section 3.5. With shift 1 the slowest rate is 1 / theta, as Ho et al. 2020 have it; with
    shift 0 it is a little faster (Nichol & Dhariwal 2021).
    """

    def __init__(self, count: int, *, shift: int = 1, theta: float = 10_000.0, cosine_first: bool = False) -> None:
        super().__init__()
        self.count, self.shift, self.theta, self.cosine_first = count, shift, theta, cosine_first
        self.features = 2 * count

    def forward(self, t: Tensor) -> Tensor:
        """Return the waves at the steps t."""
        exponents = torch.arange(self.count, device=t.device, dtype=torch.float32) / max(self.count - self.shift, 1)
        angles = t.float()[:, None] * torch.exp(exponents * -math.log(self.theta))
        parts = (angles.cos(), angles.sin()) if self.cosine_first else (angles.sin(), angles.cos())
        return torch.cat(parts, dim=1)


class LearnedWaves(nn.Module):
    """The step and its sines and cosines at random rates, learned or not: (N,) to (N, 2 count + 1)."""

    def __init__(self, count: int, *, learned: bool) -> None:
        super().__init__()
        self.features = 2 * count + 1
        rates = torch.randn(count)
        if learned:
            self.rates = nn.Parameter(rates)
        else:
            self.register_buffer("rates", rates)

    def forward(self, t: Tensor) -> Tensor:
        """Return t and its waves."""
        angles = t.float()[:, None] * self.rates * (2 * math.pi)
        return torch.cat([t.float()[:, None], angles.sin(), angles.cos()], dim=1)


class Embedding(nn.Module):
    """Two layers over the waves of the step, plus a vector of the label: (N,) and (N,) to (N, width).

    The label that stands for "none" has a vector as well, the last one.
    """

    def __init__(
        self, waves: Waves | LearnedWaves, width: int, classes: int, activation: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.classes = classes
        self.waves = waves
        self.inner = nn.Linear(waves.features, width)
        self.activation = activation or nn.SiLU()
        self.outer = nn.Linear(width, width)
        self.label = nn.Embedding(classes + 1, width) if classes else None

    def forward(self, t: Tensor, label: Tensor | None) -> Tensor:
        """Embed the steps t and their labels, (N,) int64; without labels they are "none"."""
        with full_precision(t.device):
            embedded: Tensor = self.outer(self.activation(self.inner(self.waves(t))))
            if self.label is None:
                return embedded
            named: Tensor = self.label(torch.full_like(t, self.classes) if label is None else label)
            return embedded + named
