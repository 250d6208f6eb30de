"""Two networks, one for much noise and one for little, switched by each image's step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Backbone, Shape

if TYPE_CHECKING:
    from torch import Tensor, nn


class TwoExperts(Backbone):
    """Two networks, one for much noise and one for little, switched by each image's step.

    A batch of one noise level leaves the other network without gradients. It would want to declare that its
    output jumps at the step where they meet, and that half of its weights have no part in a call.
    """

    name: ClassVar[str] = "two-experts"

    channels: int = Field(32, gt=0, multiple_of=8, description="channels of the hidden layers")
    switch: int = Field(500, ge=0, description="first step of the network for much noise")

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build the network."""
        import torch
        from torch import nn
        from torch.nn import functional as F

        width, inputs, switch = self.channels, shape[0], self.switch

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
                out: Tensor = self.leave(h)
                return out

        class Experts(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.low, self.high = Net(), Net()

            def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
                outs = []
                high = t >= switch
                for expert, mine in ((self.low, ~high), (self.high, high)):
                    if bool(mine.any()):
                        said = expert(x[mine], t[mine], None if label is None else label[mine])
                        outs.append((mine.nonzero().flatten(), said))
                places = torch.cat([place for place, _ in outs])
                together: Tensor = torch.cat([said for _, said in outs])[places.argsort()]
                return together

        return Experts()


KIND = "backbone"
PLUGIN = TwoExperts
