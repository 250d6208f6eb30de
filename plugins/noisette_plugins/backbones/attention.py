"""Self-attention over the positions of a picture: softmax(q kᵀ / √d) v (Vaswani et al. 2017, eq. 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisette_plugins.backbones.initial import zeroed
from noisette_plugins.backbones.norm import GroupNorm

__all__ = ["Attention", "attend", "heads_of", "joined", "written_out"]

_PLAIN_LIMIT = 1024
"""Positions up to which the matrix of weights may be written out; it has the square of this many values."""


def attend(q: Tensor, k: Tensor, v: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Mix the values v by the likeness of q and k, all (N, heads, positions, d); `dropout` is of the weights.

    In bf16 on a CPU plain products are used: the library's kernel takes two to ten times as long there, its
    backward most of all. Everywhere else it is the faster one.
    """
    slow = q.device.type == "cpu" and q.dtype == torch.bfloat16
    if slow and max(q.shape[-2], k.shape[-2]) <= _PLAIN_LIMIT:
        return written_out(q, k, v, dropout=dropout)
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)


def written_out(q: Tensor, k: Tensor, v: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Return the same as `attend`, by two products and a softmax."""
    weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return F.dropout(weights.softmax(dim=-1), dropout) @ v


def heads_of(x: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split maps (N, 3 C, H, W), queries first, into q, k and v, each (N, heads, H W, C / heads).

    The channels of a position lie together, without which the products take twice as long.
    """
    n, channels = x.shape[:2]
    rows = x.flatten(2).transpose(1, 2).contiguous().view(n, -1, 3, heads, channels // (3 * heads))
    q, k, v = rows.permute(2, 0, 3, 1, 4).unbind(0)
    return q, k, v


def joined(mixed: Tensor, like: Tensor) -> Tensor:
    """Put heads (N, heads, H W, d) back beside one another: maps (N, heads d, H, W) of the size of `like`."""
    return mixed.transpose(1, 2).reshape(len(like), *like.shape[2:], -1).permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Self-attention over all positions behind a group normalisation, beside a skip."""

    def __init__(self, channels: int, heads: int, groups: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.heads = heads
        self.norm = GroupNorm(groups, channels, eps=epsilon)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.project = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Mix the positions of x, (N, C, H, W)."""
        mixed = attend(*heads_of(self.qkv(self.norm(x)), self.heads))
        out: Tensor = self.project(joined(mixed, x))
        out += x
        return out
