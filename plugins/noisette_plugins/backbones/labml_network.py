"""The network that `labml-unet` builds."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisette_plugins.backbones.layers import Embedding, SinusoidalEmbedding, attend, merge_heads, split_heads
from noisette_plugins.backbones.norm import GroupNormSiLU

__all__ = ["LabmlNetwork"]

_GROUPS, _LAST_GROUPS = 32, 8


class _Options(Protocol):
    """What is read of `labml-unet`."""

    @property
    def channels(self) -> int: ...

    @property
    def widths(self) -> tuple[int, ...]: ...

    @property
    def blocks(self) -> int: ...

    @property
    def attention(self) -> tuple[int, ...]: ...

    @property
    def dropout(self) -> float: ...


class LabmlNetwork(nn.Module):
    """A U-Net: every state of the way down is joined to its twin on the way up.

    Called as `network(x, t, label=None)`: x (N, C, H, W), t (N,) int64, label (N,) int64 where it has classes.
    """

    def __init__(self, config: _Options, inputs: int, classes: int, outputs: int) -> None:
        super().__init__()
        widths, first = config.widths, config.channels
        self.embedding = Embedding(SinusoidalEmbedding(first // 2), 4 * first, classes)
        self.enter = nn.Conv2d(inputs, first, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        current, last = first, len(widths) - 1
        for level, width in enumerate(widths):
            for _ in range(config.blocks):
                self.down.append(_Stage(config, current, width, attends=level in config.attention))
                current = width
            if level < last:
                self.down.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
        self.middle1 = _Stage(config, current, current, attends=True)
        self.middle2 = _Stage(config, current, current, attends=False)
        for level, width in reversed(list(enumerate(widths))):
            above = widths[level - 1] if level else first
            for output in (*[width] * config.blocks, above):
                # the twin has as many channels as this block gives
                self.up.append(_Stage(config, current + output, output, attends=level in config.attention))
                current = output
            if level:
                self.up.append(nn.ConvTranspose2d(above, above, 4, stride=2, padding=1))
        self.norm = GroupNormSiLU(_LAST_GROUPS, first)
        self.leave = nn.Conv2d(first, outputs, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the output for x at the timesteps t, (N, outputs, H, W)."""
        embedding = F.silu(self.embedding(t, label))
        x = self.enter(x)
        skips = [x]
        for layer in self.down:
            x = layer(x, embedding) if isinstance(layer, _Stage) else layer(x)
            skips.append(x)
        x = self.middle2(self.middle1(x, embedding), embedding)
        for layer in self.up:
            x = layer(torch.cat([x, skips.pop()], dim=1), embedding) if isinstance(layer, _Stage) else layer(x)
        out: Tensor = self.leave(self.norm(x))
        return out


class _Stage(nn.Module):
    """A residual block, and attention behind it where the level has it."""

    def __init__(self, config: _Options, inputs: int, outputs: int, *, attends: bool) -> None:
        super().__init__()
        self.norm1 = GroupNormSiLU(_GROUPS, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.embed = nn.Linear(4 * config.channels, outputs)
        self.norm2 = GroupNormSiLU(_GROUPS, outputs)
        self.dropout = nn.Dropout(config.dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.attention = _Attention(outputs) if attends else None

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Transform x (N, C, H, W) under the activated embedding (N, width)."""
        hidden = self.conv1(self.norm1(x)) + self.embed(embedding)[:, :, None, None]
        x = self.conv2(self.dropout(self.norm2(hidden))) + self.skip(x)
        return x if self.attention is None else self.attention(x)


class _Attention(nn.Module):
    """Attention of one head beside a skip. The original makes a norm for it, and does not use it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.project(merge_heads(attend(*split_heads(self.qkv(x), 1)), x))
        return out
