"""Normalisation and attention of `linear-attention-unet`.

Linear attention (Shen et al. 2021) takes the softmax of the queries over their channels and of the keys over the
positions; then softmax(q) (softmax(k)ᵀ v) costs time and memory that grow with the positions, not their square.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisette_plugins.backbones.attention import attend, heads_of, joined, written_out

__all__ = ["FullAttention", "LinearAttention", "RMSNorm"]


class RMSNorm(nn.Module):
    """Scale the channels of every position to a root mean square of one (Zhang & Sennrich 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = channels**0.5
        self.gain = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x, (N, C, H, W)."""
        out: Tensor = F.normalize(x, dim=1) * (self.gain * self.scale).to(x.dtype)
        return out


class _MemoryAttention(nn.Module):
    """What both kinds share: normalised input, heads, and learned keys and values beside those of the picture."""

    def __init__(self, channels: int, heads: int, head_channels: int, memory: int) -> None:
        super().__init__()
        self.heads = heads
        hidden = heads * head_channels
        self.norm = RMSNorm(channels)
        self.memory = nn.Parameter(torch.randn(2, heads, memory, head_channels)) if memory else None
        self.qkv = nn.Conv2d(channels, 3 * hidden, 1, bias=False)
        self.project = nn.Conv2d(hidden, channels, 1)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return q, k and v, each (N, heads, positions, d); k and v have the memory before the picture."""
        q, k, v = heads_of(self.qkv(self.norm(x)), self.heads)
        if self.memory is None:
            return q, k, v
        keys, values = self.memory.to(k.dtype).expand(len(x), *self.memory.shape).unbind(1)
        return q, torch.cat([keys, k], dim=-2), torch.cat([values, v], dim=-2)


class LinearAttention(_MemoryAttention):
    """Attention of linear cost, beside a skip."""

    def __init__(self, channels: int, heads: int, head_channels: int, memory: int) -> None:
        super().__init__(channels, heads, head_channels, memory)
        self.leave = RMSNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the positions of x, (N, C, H, W)."""
        q, k, v = self._split(x)
        q = q.softmax(dim=-1) * q.shape[-1] ** -0.5
        context = k.softmax(dim=-2).transpose(-1, -2) @ v
        out: Tensor = x + self.leave(self.project(joined(q @ context, x)))
        return out


class FullAttention(_MemoryAttention):
    """Attention over all pairs of positions, beside a skip."""

    def __init__(self, channels: int, heads: int, head_channels: int, memory: int, *, flash: bool) -> None:
        super().__init__(channels, heads, head_channels, memory)
        self.attend = attend if flash else written_out

    def forward(self, x: Tensor) -> Tensor:
        """Mix the positions of x, (N, C, H, W)."""
        out: Tensor = x + self.project(joined(self.attend(*self._split(x)), x))
        return out
