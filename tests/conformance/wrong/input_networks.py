"""Networks with one mistake each; named as the backbones that build them."""

from __future__ import annotations

import torch
from conformance.right.tiny_network import TinyNetwork
from torch import nn


class TableOfAThousand(TinyNetwork):
    def __init__(self, width, *arguments):
        super().__init__(width, *arguments)
        self.table = nn.Embedding(1000, width)

    def embed(self, t, label):
        return super().embed(t, label) + self.table(t)


class TimeModuloAThousand(TinyNetwork):
    def embed(self, t, label):
        return super().embed(t % 1000, label)


class EverySecondTime(TinyNetwork):
    def embed(self, t, label):
        return super().embed((t + 1) // 2, label)


class TenClasses(TinyNetwork):
    def __init__(self, width, inputs, classes, outputs):
        super().__init__(width, inputs, classes, outputs)
        self.label = nn.Embedding(11, width) if classes else None


class FirstChannelAlone(TinyNetwork):
    def forward(self, x, t, label=None):
        return super().forward(x[:, :1].expand_as(x), t, label)


class GreyOutput(TinyNetwork):
    def forward(self, x, t, label=None):
        output = super().forward(x, t, label)
        return output.mean(dim=1, keepdim=True).expand_as(output)


class _Square(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x + 0.5 * x**2

    @staticmethod
    def backward(context, gradient):
        (x,) = context.saved_tensors
        return gradient * (1 + 0.5 * x)


class WrongBackward(TinyNetwork):
    def forward(self, x, t, label=None):
        return _Square.apply(super().forward(x, t, label))


class FrozenInTraining(TinyNetwork):
    def forward(self, x, t, label=None):
        output = super().forward(x, t, label)
        return output.detach().requires_grad_() if self.training else output


class RemembersTheFirstLabels(TinyNetwork):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.kept = None

    def embed(self, t, label):
        embedding = super().embed(t, label)
        before, self.kept = self.kept, embedding.detach().mean(dim=0)
        return embedding if before is None else embedding + 1e-3 * before


class ViewsMemory(TinyNetwork):
    def forward(self, x, t, label=None):
        return super().forward(x.view(-1).view(x.shape), t, label)


class GateOfZeros(TinyNetwork):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.gate = nn.Parameter(torch.zeros(()))
        nn.init.zeros_(self.leave.bias)

    def forward(self, x, t, label=None):
        return self.gate * super().forward(x, t, label)


class CachesByTheStep(TinyNetwork):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.kept = {}

    def embed(self, t, label):
        if self.training or len(set(t.tolist())) > 1:
            return super().embed(t, label)
        return self.kept.setdefault((int(t[0]), len(t)), super().embed(t, label))
