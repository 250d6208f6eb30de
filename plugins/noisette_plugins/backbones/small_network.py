"""The network that `small` builds."""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

from torch import Tensor, nn
from torch.nn import functional as F

from noisette_plugins.backbones.layers import (
    Attention,
    Downsample,
    Embedding,
    ResidualBlock,
    SinusoidalEmbedding,
    resize_nearest,
    zero_module,
)
from noisette_plugins.backbones.norm import GroupNormSiLU

__all__ = ["SmallNetwork"]


class _Options(Protocol):
    """What is read of `small`."""

    @property
    def channels(self) -> int: ...

    @property
    def widths(self) -> tuple[int, ...]: ...

    @property
    def blocks(self) -> tuple[int, ...]: ...

    @property
    def attending(self) -> tuple[int, ...]: ...

    @property
    def head_channels(self) -> int: ...

    @property
    def group_channels(self) -> int: ...

    @property
    def dropout(self) -> float: ...


class SmallNetwork(nn.Module):
    """Levels down and up again; what leaves a level is added to what comes back to it.

    Called as `network(x, t, label=None)`: x (N, C, H, W), t (N,) int64, label (N,) int64 where it has classes.
    """

    def __init__(self, config: _Options, inputs: int, classes: int, outputs: int) -> None:
        super().__init__()
        widths, lowest = config.widths, len(config.widths) - 1
        self.embedding = Embedding(SinusoidalEmbedding(config.channels), 8 * config.channels, classes)
        self.enter = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.down = nn.ModuleList(_Level(config, level) for level in range(lowest))
        self.shrink = nn.ModuleList(
            Downsample(upper, lower, symmetric_padding=True) for upper, lower in pairwise(widths)
        )
        self.lowest = _Level(config, lowest)
        self.grow = nn.ModuleList(nn.Conv2d(lower, upper, 1) for upper, lower in pairwise(widths))
        self.up = nn.ModuleList(_Level(config, level) for level in range(lowest))
        self.norm = GroupNormSiLU(widths[0] // config.group_channels, widths[0])
        self.leave = zero_module(nn.Conv2d(widths[0], outputs, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the output for x at the steps t, (N, outputs, H, W)."""
        embedding = F.silu(self.embedding(t, label))
        x = self.enter(x)
        skips: list[Tensor] = []
        for level, shrink in zip(self.down, self.shrink, strict=True):
            skips.append(level(x, embedding))
            x = shrink(skips[-1])
        x = self.lowest(x, embedding)
        for level, grow in zip(reversed(self.up), reversed(self.grow), strict=True):
            skip = skips.pop()
            x = level(skip + resize_nearest(grow(x), skip.shape[2:]), embedding)
        out: Tensor = self.leave(self.norm(x))
        return out


class _Level(nn.Module):
    """Residual blocks of one size, each with attention behind it where the level has it."""

    def __init__(self, config: _Options, level: int) -> None:
        super().__init__()
        width, attends = config.widths[level], level in config.attending
        groups = width // config.group_channels
        self.blocks, self.attentions = nn.ModuleList(), nn.ModuleList()
        for _ in range(config.blocks[level]):
            block = ResidualBlock(width, width, 8 * config.channels, groups, config.dropout, scale_shift=True)
            self.blocks.append(block)
            attention = Attention(width, width // config.head_channels, groups) if attends else nn.Identity()
            self.attentions.append(attention)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Transform x (N, C, H, W) under the activated embedding (N, width)."""
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            x = attention(block(x, embedding))
        return x
