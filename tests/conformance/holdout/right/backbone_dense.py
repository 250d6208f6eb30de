"""Fully connected layers over all values of an image: no convolution, made for one size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Backbone, Shape

if TYPE_CHECKING:
    from torch import Tensor, nn


class Dense(Backbone):
    """Fully connected layers over all values of an image: no convolution, made for one size.

    It would want to declare that it is not equivariant to shifts, and works at the size it was built for alone.
    """

    name: ClassVar[str] = "dense"

    channels: int = Field(32, gt=0, multiple_of=8, description="channels of the hidden layers")

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build the network."""
        import torch
        from torch import nn
        from torch.nn import functional as F

        width, values = self.channels, math.prod(shape)

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.enter = nn.Linear(values, width)
                self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
                self.label = nn.Embedding(classes + 1, width) if classes else None
                self.norm = nn.LayerNorm(width)
                self.middle = nn.Linear(width, width)
                self.leave = nn.Linear(width, outputs * shape[1] * shape[2])

            def embed(self, t: Tensor, label: Tensor | None) -> Tensor:
                rates = torch.exp(-math.log(10_000) * torch.arange(width // 2, device=t.device) / (width // 2))
                angles = t.float()[:, None] * rates
                told: Tensor = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
                if self.label is not None:
                    label = torch.full_like(t, classes) if label is None else label
                    told = told + self.label(label)
                return told

            def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
                h = self.enter(x.flatten(1))
                h = h + self.embed(t, label)
                h = h + F.silu(self.middle(F.silu(self.norm(h))))
                out: Tensor = self.leave(h).view(len(x), outputs, *shape[1:])
                return out

        return Net()


KIND = "backbone"
PLUGIN = Dense
