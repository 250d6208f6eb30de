"""The network that `scratch-unet` builds."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisette_plugins.backbones.layers import SinusoidalEmbedding, attend, merge_heads, split_heads
from noisette_plugins.backbones.norm import GroupNorm

__all__ = ["ScratchNetwork"]


class _Options(Protocol):
    """What is read of `scratch-unet`."""

    @property
    def widths(self) -> tuple[int, ...]: ...

    @property
    def levels(self) -> int: ...

    @property
    def attention(self) -> tuple[int, ...]: ...

    @property
    def heads(self) -> int: ...

    @property
    def groups(self) -> int: ...

    @property
    def dropout(self) -> float: ...


class ScratchNetwork(nn.Module):
    """Layers down and up again. The step's waves are as wide as the widest; each adds as many as it has channels.

    Called as `network(x, t, label=None)`: x (N, C, H, W), t (N,) int64, label (N,) int64 where it has classes.
    """

    def __init__(self, config: _Options, inputs: int, classes: int, outputs: int) -> None:
        super().__init__()
        widths = config.widths
        self.classes = classes
        self.waves = SinusoidalEmbedding(max(widths) // 2, shift=0)
        self.label = nn.Embedding(classes + 1, max(widths)) if classes else None
        self.enter = nn.Conv2d(inputs, widths[0], 3, padding=1)
        layers = [_Layer(config, index, width) for index, width in enumerate(widths, start=1)]
        self.down, self.up = nn.ModuleList(layers[: config.levels]), nn.ModuleList(layers[config.levels :])
        merged = widths[-1] // 2 + widths[0]
        self.last = nn.Conv2d(merged, merged // 2, 3, padding=1)
        self.leave = nn.Conv2d(merged // 2, outputs, 1)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the output for x at the steps t, (N, outputs, H, W)."""
        x = self.enter(x)
        embedding = self._embed(t, label).to(x.dtype)[:, :, None, None]
        skips: list[Tensor] = []
        for layer in self.down:
            x, skip = layer(x, embedding)
            skips.append(skip)
        for layer in self.up:
            x, _ = layer(x, embedding)
            skip_input = skips.pop()
            x = torch.cat([x[:, :, : skip_input.shape[2], : skip_input.shape[3]], skip_input], dim=1)
        out: Tensor = self.leave(F.relu(self.last(x)))
        return out

    def _embed(self, t: Tensor, label: Tensor | None) -> Tensor:
        """Return sines and cosines by turns, plus the label's vector, (N, the widest layer)."""
        waves = torch.stack(self.waves(t).chunk(2, dim=1), dim=-1).flatten(1)
        if self.label is None:
            return waves
        label_vector: Tensor = self.label(torch.full_like(t, self.classes) if label is None else label)
        return waves + label_vector


class _Layer(nn.Module):
    """Two blocks, attention between them, and a convolution to the next size."""

    def __init__(self, config: _Options, index: int, channels: int) -> None:
        super().__init__()
        attends = index in config.attention
        self.block1 = _Block(channels, config.groups, config.dropout)
        self.attention = _Attention(channels, config.heads, config.dropout) if attends else None
        self.block2 = _Block(channels, config.groups, config.dropout)
        self.resize: nn.Module = (
            nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
            if index <= config.levels
            else nn.ConvTranspose2d(channels, channels // 2, 4, stride=2, padding=1)
        )

    def forward(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Return x at the next size, and as it was before."""
        x = self.block1(x, embedding)
        if self.attention is not None:
            x = self.attention(x)
        x = self.block2(x, embedding)
        return self.resize(x), x


class _Block(nn.Module):
    """A residual block of two convolutions; the skip connection includes the embedding."""

    def __init__(self, channels: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.norm2 = GroupNorm(groups, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        x = x + embedding[:, : x.shape[1]]
        hidden = self.dropout(self.conv1(F.relu(self.norm1(x))))
        out: Tensor = x + self.conv2(F.relu(self.norm2(hidden)))
        return out


class _Attention(nn.Module):
    """Attention that replaces what it mixes."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mixed = attend(*split_heads(self.qkv(x), self.heads), dropout=self.dropout if self.training else 0.0)
        out: Tensor = self.project(merge_heads(mixed, x))
        return out
