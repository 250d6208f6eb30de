from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TinyNetwork(nn.Module):
    def __init__(self, width: int, inputs: int, classes: int, outputs: int) -> None:
        super().__init__()
        self.classes = classes
        self.enter = nn.Conv2d(inputs, width, 3, padding=1)
        self.norm = nn.GroupNorm(4, width)
        self.step = nn.Linear(8, width)
        self.label = nn.Embedding(classes + 1, width) if classes else None
        self.dropout = nn.Dropout(0.1)
        self.leave = nn.Conv2d(width, outputs, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        self.register_buffer("rates", 0.7 ** torch.arange(4))

    def embed(self, t: Tensor, label: Tensor | None) -> Tensor:
        angles = t.float()[:, None] * self.rates
        embedding = self.step(torch.cat([angles.sin(), angles.cos()], dim=1))
        if self.label is not None:
            embedding = embedding + self.label(torch.full_like(t, self.classes) if label is None else label)
        return embedding

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        hidden = self.norm(self.enter(x)) + self.embed(t, label)[:, :, None, None]
        return self.leave(self.dropout(F.silu(hidden)))
