"""The network that `linear-attention-unet` builds."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisette_plugins.backbones.embedding import Embedding, LearnedWaves, Waves
from noisette_plugins.backbones.linear_attention import FullAttention, LinearAttention, RMSNorm

if TYPE_CHECKING:
    from noisette_plugins.backbones.linear_attention_unet import LinearAttentionUNet

__all__ = ["LinearAttentionNetwork"]


class LinearAttentionNetwork(nn.Module):
    """A U-Net of two blocks a level; the entry, convolved 7 x 7, is seen again by the last block.

    Called as `network(x, t, label=None)`: x (N, C, H, W), t (N,) int64, label (N,) int64 where it has classes.
    """

    def __init__(self, config: LinearAttentionUNet, inputs: int, classes: int, outputs: int) -> None:
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
        """Return the output for x at the steps t, (N, outputs, H, W)."""
        embedding = F.silu(self.embedding(t, label))
        entered = x = self.enter(x)
        skips: list[Tensor] = []
        for level in self.down:
            x, seen = level(x, embedding)
            skips.extend(seen)
        x = self.middle2(self.middle_attention(self.middle1(x, embedding)), embedding)
        for level in self.up:
            x = level(x, embedding, skips)
        out: Tensor = self.leave(self.last(torch.cat([x, entered], dim=1), embedding))
        return out


class _Level(nn.Module):
    """The parts of one level."""

    def __init__(
        self, config: LinearAttentionUNet, level: int, inputs: int, outputs: int, resize: nn.Module
    ) -> None:
        super().__init__()
        full = (len(config.multipliers) - 1,) if config.full_attention is None else config.full_attention
        self.block1 = _block(config, inputs, outputs)
        self.block2 = _block(config, inputs, outputs)
        self.attention = _attention(config, level, outputs, full=level in full)
        self.resize = resize


class _Down(_Level):
    """Gives what follows, and the two states that the way up joins."""

    def forward(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        first = self.block1(x, embedding)
        second = self.attention(self.block2(first, embedding))
        return self.resize(second), [first, second]


class _Up(_Level):
    """Takes the last two of the states."""

    def forward(self, x: Tensor, embedding: Tensor, skips: list[Tensor]) -> Tensor:
        x = self.block1(torch.cat([x, skips.pop()], dim=1), embedding)
        x = self.block2(torch.cat([x, skips.pop()], dim=1), embedding)
        out: Tensor = self.resize(self.attention(x))
        return out


class _ResidualBlock(nn.Module):
    """Two convolutions, each normalised behind, beside a skip; the embedding scales and shifts the first."""

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


def _waves(config: LinearAttentionUNet) -> Waves | LearnedWaves:
    if config.time == "fixed":
        return Waves(config.channels // 2, theta=config.theta)
    return LearnedWaves(config.time_waves, learned=config.time == "learned")


def _block(config: LinearAttentionUNet, inputs: int, outputs: int) -> _ResidualBlock:
    return _ResidualBlock(inputs, outputs, 4 * config.channels, config.dropout)


def _attention(config: LinearAttentionUNet, level: int, channels: int, *, full: bool) -> nn.Module:
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
