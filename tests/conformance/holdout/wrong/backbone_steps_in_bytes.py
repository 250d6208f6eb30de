"""Convolutions, told the step by a table of 256 vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import (
    Backbone,
    Shape,
)

if TYPE_CHECKING:
    import torch
    from torch import nn


class StepsInBytes(Backbone):
    """Convolutions, told the step by a table of 256 vectors."""

    name: ClassVar[str] = "steps-in-bytes"

    width: int = Field(16, ge=2, description="channels inside")

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build the network."""
        import torch
        from torch import nn
        from torch.nn import functional as F

        width = self.width

        class Network(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.classes = classes
                self.enter = nn.Conv2d(shape[0], width, 3, padding=1)
                self.middle = nn.Conv2d(width, width, 3, padding=1)
                self.leave = nn.Conv2d(width, outputs, 3, padding=1)
                self.step = nn.Embedding(256, width)
                self.label = nn.Embedding(classes + 1, width) if classes else None

            def forward(self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
                told = self.step(t.to(torch.uint8).long())
                if self.label is not None:
                    told = told + self.label(torch.full_like(t, self.classes) if label is None else label)
                h = F.silu(self.enter(x) + told[:, :, None, None])
                h = h + F.silu(self.middle(h) + told[:, :, None, None])
                return self.leave(h)

        return Network()


KIND = "backbone"
PLUGIN = StepsInBytes
CAUSE = "It keeps the step in a byte, so that step 256 is step 0 again."
WORDS = ("step", "t", "same", "256", "tell", "large", "T")
