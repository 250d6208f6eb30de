"""Layers that several backbones share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisette_plugins.backbones.norm import GroupNormSiLU

__all__ = ["Attention", "Downsample", "ResidualBlock", "TimeEmbedding", "Upsample", "zeroed"]


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """Set a layer's weights to zero, so that its branch starts as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class TimeEmbedding(nn.Module):
    """Sines and cosines of the step (Vaswani et al. 2017), then two layers: (N,) to (N, width)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.waves = channels // 2
        self.inner = nn.Linear(2 * self.waves, width)
        self.outer = nn.Linear(width, width)

    def forward(self, t: Tensor) -> Tensor:
        """Embed the steps t, (N,) int64."""
        rates = torch.arange(self.waves, device=t.device, dtype=torch.float32)
        rates = torch.exp(rates * (-math.log(10_000) / max(self.waves - 1, 1)))
        angles = t.float()[:, None] * rates
        waves = torch.cat([angles.sin(), angles.cos()], dim=1)
        embedded: Tensor = self.outer(F.silu(self.inner(waves)))
        return embedded


class ResidualBlock(nn.Module):
    """Two convolutions beside a skip, with the embedding added between them."""

    def __init__(self, inputs: int, outputs: int, width: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = GroupNormSiLU(groups, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.embed = nn.Linear(width, outputs)
        self.norm2 = GroupNormSiLU(groups, outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Transform x (N, C, H, W) under the activated embedding (N, width)."""
        hidden = self.conv1(self.norm1(x))
        hidden = hidden + self.embed(embedding)[:, :, None, None]
        hidden = self.conv2(self.dropout(self.norm2(hidden)))
        out: Tensor = self.skip(x) + hidden
        return out


class Attention(nn.Module):
    """Self-attention over all positions, beside a skip."""

    def __init__(self, channels: int, heads: int, groups: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.project = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Mix the positions of x, (N, C, H, W)."""
        n, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).view(n, 3, self.heads, c // self.heads, h * w)
        q, k, v = qkv.transpose(-1, -2).unbind(1)
        mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = x + self.project(mixed.transpose(-1, -2).reshape(n, c, h, w))
        return out


class Downsample(nn.Module):
    """Halve the size with a strided convolution, padded right and below as in the paper's code."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H // 2, W // 2)."""
        out: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return out


class Upsample(nn.Module):
    """Double the size, or reach a given odd one, by nearest neighbours and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        """Return (N, C, *size)."""
        out: Tensor = self.conv(F.interpolate(x, size=tuple(size), mode="nearest"))
        return out
