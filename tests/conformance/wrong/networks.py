"""Networks with one mistake each; named as the backbones that build them."""

from __future__ import annotations

import numpy as np
import torch
from conformance.right.tiny_network import TinyNetwork
from torch import nn
from torch.nn import functional as F


class EvenSizesOnly(TinyNetwork):
    def forward(self, x, t, label=None):
        down = F.avg_pool2d(x, 2)
        return x + F.interpolate(super().forward(down, t, label), scale_factor=2.0)


class UnusedLayer(TinyNetwork):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.forgotten = nn.Linear(3, 3)


class BatchStatistics(TinyNetwork):
    def __init__(self, width, *arguments):
        super().__init__(width, *arguments)
        self.norm = nn.BatchNorm2d(width, track_running_stats=False)


class DropoutLeftOn(TinyNetwork):
    def forward(self, x, t, label=None):
        return F.dropout(super().forward(x, t, label), 0.1)


class ChangesX(TinyNetwork):
    def forward(self, x, t, label=None):
        return super().forward(x.clamp_(-0.9, 0.9), t, label)


class CountsItsCalls(TinyNetwork):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x, t, label=None):
        self.calls += 1
        return super().forward(x, t, label)


class ForgetsTime(TinyNetwork):
    def embed(self, t, label):
        return super().embed(torch.zeros_like(t), label)


class HalvesTime(TinyNetwork):
    def embed(self, t, label):
        return super().embed(t // 2, label)


class ForgetsLabels(TinyNetwork):
    def embed(self, t, label):
        return super().embed(t, None)


class NoneIsTheFirst(TinyNetwork):
    def embed(self, t, label):
        return super().embed(t, label % self.classes if label is not None else None)


class NotRegistered(TinyNetwork):
    """A layer in a plain list is in no state dictionary."""

    def __init__(self, width, *arguments):
        super().__init__(width, *arguments)
        self.extra = [nn.Conv2d(width, width, 1)]

    def forward(self, x, t, label=None):
        hidden = self.extra[0](self.norm(self.enter(x))) + self.embed(t, label)[:, :, None, None]
        return self.leave(F.silu(hidden))


class TiedWeights(TinyNetwork):
    def __init__(self, width, inputs, classes, outputs):
        super().__init__(width, inputs, classes, outputs)
        self.twin = nn.Linear(8, width)
        self.twin.weight = self.step.weight


class SharesItsLayer(TinyNetwork):
    """A closure over a layer: the copy computes with the original's."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        enter = self.enter
        self.entered = lambda x: enter(x)

    def forward(self, x, t, label=None):
        hidden = self.norm(self.entered(x)) + self.embed(t, label)[:, :, None, None]
        return self.leave(F.silu(hidden)) + self.entered(x)[:, : self.leave.out_channels]


class OtherGenerator(TinyNetwork):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        with torch.no_grad():
            self.enter.weight.copy_(torch.from_numpy(np.random.default_rng().normal(size=self.enter.weight.shape)))


class StaysOnTheCpu(TinyNetwork):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.constant = torch.tensor([0.5, 0.25])

    def forward(self, x, t, label=None):
        return super().forward(x, t, label) * self.constant.sum(dim=0, keepdim=True)


class TimeInHalf(TinyNetwork):
    """The angles are a matrix product, which autocast rounds to eight bits."""

    def embed(self, t, label):
        angles = t.float()[:, None] @ self.rates[None]
        embedding = self.step(torch.cat([angles.sin(), angles.cos()], dim=1))
        return embedding if self.label is None else embedding + self.label(label)


class OtherWhenCompiled(TinyNetwork):
    def forward(self, x, t, label=None):
        out = super().forward(x, t, label)
        return out + 0.1 if torch.compiler.is_compiling() else out
