"""Convolutions, always told a label."""

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


class LabelRequired(Backbone):
    """Convolutions, always told a label."""

    name: ClassVar[str] = "label-required"

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
                self.step = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))
                self.label = nn.Embedding(classes + 1, width) if classes else None

            def forward(self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
                rates = torch.exp(torch.arange(width, device=t.device) * (-9.2 / width))
                angles = t.float()[:, None] * rates
                told = self.step(torch.cat([angles.sin(), angles.cos()], dim=1).to(x.dtype))
                if self.label is not None:
                    told = told + self.label(torch.full_like(t, self.classes) if label is None else label)
                h = F.silu(self.enter(x) + told[:, :, None, None])
                h = h + F.silu(self.middle(h) + told[:, :, None, None])
                return self.leave(h)

        return Network()


KIND = "backbone"
PLUGIN = LabelRequired
CAUSE = (
    "Its forward has no default for the label, so that it cannot be called as net(x, t), which is how "
    "networks without classes are called."
)
WORDS = ("label", "argument", "call", "net(x", "t)")
