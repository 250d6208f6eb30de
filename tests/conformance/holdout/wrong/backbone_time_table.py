"""A convolutional network with a learned vector for each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Backbone, Shape

if TYPE_CHECKING:
    from torch import Tensor, nn


class TimeTable(Backbone):
    """A convolutional network with a learned vector for each step."""

    name: ClassVar[str] = "conv-time-table"

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
                self.time = nn.Embedding(1000, width)
                self.label = nn.Embedding(classes + 1, width) if classes else None
                self.norm = nn.GroupNorm(8, width)
                self.middle = nn.Conv2d(width, width, 3, padding=1)
                self.leave = nn.Conv2d(width, outputs, 3, padding=1)

            def embed(self, t: Tensor, label: Tensor | None) -> Tensor:
                told: Tensor = self.time(t)
                if self.label is not None:
                    label = torch.full_like(t, classes) if label is None else label
                    told = told + self.label(label)
                return told

            def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
                h = self.enter(x)
                h = h + self.embed(t, label)[:, :, None, None]
                h = h + F.silu(self.middle(F.silu(self.norm(h))))
                out: Tensor = self.leave(h)
                return out

        return Net()


KIND = "backbone"
PLUGIN = TimeTable
CAUSE = "steps are looked up in a table of 1000: it fails for T above 1000"
WORDS = ("T", "step", "1000", "range", "index")
