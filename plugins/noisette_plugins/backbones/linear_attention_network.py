"""The network that `linear-attention-unet` builds."""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisette_plugins.backbones.layers import (
    Embedding,
    LearnedSinusoidalEmbedding,
    SinusoidalEmbedding,
    attend,
    attend_without_kernel,
    merge_heads,
    split_heads,
)

__all__ = ["FullAttention", "LinearAttention", "LinearAttentionNetwork", "RMSNorm"]


class _Options(Protocol):
    """The options of `linear-attention-unet` that are used here."""

    @property
    def channels(self) -> int: ...

    @property
    def multipliers(self) -> tuple[int, ...]: ...

    @property
    def full_attention(self) -> tuple[int, ...] | None: ...

    @property
    def heads(self) -> int: ...

    @property
    def head_channels(self) -> int: ...

    @property
    def memory(self) -> int: ...

    @property
    def time(self) -> str: ...

    @property
    def time_waves(self) -> int: ...

    @property
    def theta(self) -> float: ...

    @property
    def dropout(self) -> float: ...

    @property
    def flash(self) -> bool: ...


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
    """Base of both kinds of attention: normalised input, heads, and additional learned keys and values."""

    def __init__(self, channels: int, heads: int, head_channels: int, memory: int) -> None:
        super().__init__()
        self.heads = heads
        hidden = heads * head_channels
        self.norm = RMSNorm(channels)
        self.memory = nn.Parameter(torch.randn(2, heads, memory, head_channels)) if memory else None
        self.qkv = nn.Conv2d(channels, 3 * hidden, 1, bias=False)
        self.project = nn.Conv2d(hidden, channels, 1)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return q, k and v, each (N, heads, positions, d); k and v have the memory before the image."""
        q, k, v = split_heads(self.qkv(self.norm(x)), self.heads)
        if self.memory is None:
            return q, k, v
        keys, values = self.memory.to(k.dtype).expand(len(x), *self.memory.shape).unbind(1)
        return q, torch.cat([keys, k], dim=-2), torch.cat([values, v], dim=-2)


class LinearAttention(_MemoryAttention):
    """Residual attention with linear cost in the number of positions."""

    def __init__(self, channels: int, heads: int, head_channels: int, memory: int) -> None:
        super().__init__(channels, heads, head_channels, memory)
        self.leave = RMSNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the positions of x, (N, C, H, W)."""
        q, k, v = self._split(x)
        q = q.softmax(dim=-1) * q.shape[-1] ** -0.5
        context = k.softmax(dim=-2).transpose(-1, -2) @ v
        out: Tensor = x + self.leave(self.project(merge_heads(q @ context, x)))
        return out


class FullAttention(_MemoryAttention):
    """Residual attention over all pairs of positions."""

    def __init__(self, channels: int, heads: int, head_channels: int, memory: int, *, flash: bool) -> None:
        super().__init__(channels, heads, head_channels, memory)
        self.attend = attend if flash else attend_without_kernel

    def forward(self, x: Tensor) -> Tensor:
        """Mix the positions of x, (N, C, H, W)."""
        out: Tensor = x + self.project(merge_heads(self.attend(*self._split(x)), x))
        return out


class LinearAttentionNetwork(nn.Module):
    """A U-Net with two blocks per level; the last block also gets the output of the first convolution (7 x 7).

    Called as `network(x, t, label=None)`: x (N, C, H, W), t (N,) int64, label (N,) int64 if it has classes.
    """

    def __init__(self, config: _Options, inputs: int, classes: int, outputs: int) -> None:
        super().__init__()
        start = config.channels
        dims = [start, *(config.channels * multiplier for multiplier in config.multipliers)]
        pairs = list(pairwise(dims))
        last = len(pairs) - 1
        self.enter = nn.Conv2d(inputs, start, 7, padding=3)
        self.embedding = Embedding(_waves(config), 4 * config.channels, classes, nn.GELU())
        self.down = nn.ModuleList(
            _Down(config, level, upper, upper, _shrink(upper, lower, level < last))
            for level, (upper, lower) in enumerate(pairs)
        )
        self.middle1 = _block(config, dims[-1], dims[-1])
        self.middle_attention = _attention(config, last, dims[-1], full=True)
        self.middle2 = _block(config, dims[-1], dims[-1])
        self.up = nn.ModuleList(
            _Up(config, level, lower + upper, lower, _grow(lower, upper, level > 0))
            for level, (upper, lower) in reversed(list(enumerate(pairs)))
        )
        self.last = _block(config, 2 * start, start)
        self.leave = nn.Conv2d(start, outputs, 1)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the output for x at the timesteps t, (N, outputs, H, W)."""
        embedding = F.silu(self.embedding(t, label))
        entry = x = self.enter(x)
        skips: list[Tensor] = []
        for level in self.down:
            x, level_skips = level(x, embedding)
            skips.extend(level_skips)
        x = self.middle2(self.middle_attention(self.middle1(x, embedding)), embedding)
        for level in self.up:
            x = level(x, embedding, skips)
        out: Tensor = self.leave(self.last(torch.cat([x, entry], dim=1), embedding))
        return out


class _Level(nn.Module):
    """The parts of one level."""

    def __init__(self, config: _Options, level: int, inputs: int, outputs: int, resize: nn.Module) -> None:
        super().__init__()
        full = (len(config.multipliers) - 1,) if config.full_attention is None else config.full_attention
        self.block1 = _block(config, inputs, outputs)
        self.block2 = _block(config, inputs, outputs)
        self.attention = _attention(config, level, outputs, full=level in full)
        self.resize = resize


class _Down(_Level):
    """Returns its output and two skip connections."""

    def forward(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        first = self.block1(x, embedding)
        second = self.attention(self.block2(first, embedding))
        return self.resize(second), [first, second]


class _Up(_Level):
    """Uses the last two skip connections."""

    def forward(self, x: Tensor, embedding: Tensor, skips: list[Tensor]) -> Tensor:
        x = self.block1(torch.cat([x, skips.pop()], dim=1), embedding)
        x = self.block2(torch.cat([x, skips.pop()], dim=1), embedding)
        out: Tensor = self.resize(self.attention(x))
        return out


class _ResidualBlock(nn.Module):
    """A residual block of two convolutions, each followed by a norm; the embedding scales and shifts the first."""

    def __init__(self, inputs: int, outputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Linear(width, 2 * outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm1 = RMSNorm(outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm2 = RMSNorm(outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Transform x (N, C, H, W) under the activated embedding (N, width)."""
        scale, shift = self.embed(embedding)[:, :, None, None].chunk(2, dim=1)
        hidden = self.norm1(self.conv1(x)) * (scale + 1) + shift
        hidden = self.conv2(self.dropout(F.silu(hidden)))
        out: Tensor = self.skip(x) + F.silu(self.norm2(hidden))
        return out


def _waves(config: _Options) -> SinusoidalEmbedding | LearnedSinusoidalEmbedding:
    if config.time == "fixed":
        return SinusoidalEmbedding(config.channels // 2, theta=config.theta)
    return LearnedSinusoidalEmbedding(config.time_waves, learned=config.time == "learned")


def _block(config: _Options, inputs: int, outputs: int) -> _ResidualBlock:
    return _ResidualBlock(inputs, outputs, 4 * config.channels, config.dropout)


def _attention(config: _Options, level: int, channels: int, *, full: bool) -> nn.Module:
    if full:
        return FullAttention(channels, config.heads, config.head_channels, config.memory, flash=config.flash)
    return LinearAttention(channels, config.heads, config.head_channels, config.memory)


def _shrink(inputs: int, outputs: int, halves: bool) -> nn.Module:
    if not halves:
        return nn.Conv2d(inputs, outputs, 3, padding=1)
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * inputs, outputs, 1))


def _grow(inputs: int, outputs: int, doubles: bool) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
    return nn.Sequential(nn.UpsamplingNearest2d(scale_factor=2), convolution) if doubles else convolution
