"""A convolutional network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Backbone, Shape

if TYPE_CHECKING:
    from torch import Tensor, nn


class Squeezes(Backbone):
    """A convolutional network."""

    name: ClassVar[str] = "conv-squeezes"

    channels: int = Field(32, gt=0, multiple_of=8, description="channels of the hidden layers")

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build the network."""
        import torch
        from torch import nn
        from torch.nn import functional as F

        width, inputs = self.channels, shape[0]

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.enter = nn.Conv2d(inputs, width, 3, padding=1)
                self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
                self.label = nn.Embedding(classes + 1, width) if classes else None
                self.norm = nn.GroupNorm(8, width)
                self.middle = nn.Conv2d(width, width, 3, padding=1)
                self.leave = nn.Conv2d(width, outputs, 3, padding=1)

            def embed(self, t: Tensor, label: Tensor | None) -> Tensor:
                rates = torch.exp(-math.log(10_000) * torch.arange(width // 2, device=t.device) / (width // 2))
                angles = t.float()[:, None] * rates
                told: Tensor = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
                if self.label is not None:
                    label = torch.full_like(t, classes) if label is None else label
                    told = told + self.label(label)
                return told

            def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
                h = self.enter(x)
                h = h + self.embed(t, label)[:, :, None, None]
                h = h + F.silu(self.middle(F.silu(self.norm(h))))
                out: Tensor = self.leave(h).squeeze()
                return out

        return Net()


KIND = "backbone"
PLUGIN = Squeezes
CAUSE = "the output is squeezed: a batch of one image, or one channel, loses an axis"
WORDS = ("shape", "batch", "one")
