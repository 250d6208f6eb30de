"""The network that `unet` builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisette_plugins.backbones.layers import (
    Attention,
    Downsample,
    ResidualBlock,
    TimeEmbedding,
    Upsample,
    zeroed,
)
from noisette_plugins.backbones.norm import GroupNormSiLU

if TYPE_CHECKING:
    from noisette_plugins.backbones.unet import UNet

__all__ = ["UNetNetwork"]


class _Stage(nn.Module):
    """A residual block, and attention behind it where the level has it."""

    def __init__(self, config: UNet, level: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.block = ResidualBlock(inputs, outputs, 4 * config.channels, config.groups, config.dropout)
        attends = level in config.attention
        self.attention = Attention(outputs, config.heads, config.groups) if attends else None

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        x = self.block(x, embedding)
        return x if self.attention is None else self.attention(x)


class UNetNetwork(nn.Module):
    """A U-Net: every state of the way down is joined to its twin on the way up.

    Called as `network(x, t, label=None)`: x (N, C, H, W), t (N,) int64, label (N,) int64 where it has classes.
    """

    def __init__(self, config: UNet, inputs: int, classes: int, outputs: int) -> None:
        super().__init__()
        self.classes = classes
        widths = [config.channels * multiplier for multiplier in config.multipliers]
        self.time = TimeEmbedding(config.channels, 4 * config.channels)
        self.label = nn.Embedding(classes + 1, 4 * config.channels) if classes else None
        self.enter = nn.Conv2d(inputs, config.channels, 3, padding=1)
        skips = self._build_down(config, widths)
        self._build_middle(config, widths[-1])
        self._build_up(config, widths, skips)
        self.norm = GroupNormSiLU(config.groups, config.channels)
        self.leave = zeroed(nn.Conv2d(config.channels, outputs, 3, padding=1))

    def _build_down(self, config: UNet, widths: list[int]) -> list[int]:
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        current, skips = config.channels, [config.channels]
        for level, width in enumerate(widths):
            stages = nn.ModuleList()
            for _ in range(config.blocks):
                stages.append(_Stage(config, level, current, width))
                current = width
                skips.append(current)
            self.down.append(stages)
            if level < len(widths) - 1:
                self.shrink.append(Downsample(current))
                skips.append(current)
        return skips

    def _build_middle(self, config: UNet, width: int) -> None:
        embedding = 4 * config.channels
        self.middle1 = ResidualBlock(width, width, embedding, config.groups, config.dropout)
        self.middle_attention = Attention(width, config.heads, config.groups)
        self.middle2 = ResidualBlock(width, width, embedding, config.groups, config.dropout)

    def _build_up(self, config: UNet, widths: list[int], skips: list[int]) -> None:
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        current = widths[-1]
        for level, width in reversed(list(enumerate(widths))):
            stages = nn.ModuleList()
            for _ in range(config.blocks + 1):
                stages.append(_Stage(config, level, current + skips.pop(), width))
                current = width
            self.up.append(stages)
            if level:
                self.grow.append(Upsample(current))

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the output for x at the steps t, (N, outputs, H, W)."""
        embedding = F.silu(self._embed(t, label))
        x, skips = self._descend(self.enter(x), embedding)
        x = self.middle2(self.middle_attention(self.middle1(x, embedding)), embedding)
        x = self._ascend(x, skips, embedding)
        out: Tensor = self.leave(self.norm(x))
        return out

    def _embed(self, t: Tensor, label: Tensor | None) -> Tensor:
        embedding: Tensor = self.time(t)
        if self.label is None:
            return embedding
        named: Tensor = self.label(torch.full_like(t, self.classes) if label is None else label)
        return embedding + named

    def _descend(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        skips = [x]
        for level, stages in enumerate(self.down):
            for stage in stages:  # type: ignore[attr-defined]
                x = stage(x, embedding)
                skips.append(x)
            if level < len(self.shrink):
                x = self.shrink[level](x)
                skips.append(x)
        return x, skips

    def _ascend(self, x: Tensor, skips: list[Tensor], embedding: Tensor) -> Tensor:
        for level, stages in enumerate(self.up):
            for stage in stages:  # type: ignore[attr-defined]
                x = stage(torch.cat([x, skips.pop()], dim=1), embedding)
            if level < len(self.grow):
                x = self.grow[level](x, skips[-1].shape[-2:])
        return x
