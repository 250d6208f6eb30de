"""The network that `unet` and `adm` build, and its design: where the U-Nets of the DDPM family differ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisette import DataError, Shape
from noisette_plugins.backbones.layers import (
    Attention,
    Downsample,
    Embedding,
    ResidualBlock,
    SinusoidalEmbedding,
    Upsample,
    downsample_mean,
    resize_nearest,
    zero_module,
)
from noisette_plugins.backbones.norm import GroupNormSiLU

__all__ = ["Design", "UNetNetwork"]


@dataclass(frozen=True)
class Design:
    """A U-Net whose levels halve the size; `UNetNetwork` is made of it.

    Attributes:
        widths: channels of each level, from full resolution down.
        blocks: residual blocks of a level on the way down; on the way up there is one more.
        attention: levels with attention behind each block; the middle always has it.
        heads: attention heads, or None if `head_channels` says how wide one is.
        waves: sines, and as many cosines, of the timestep embedding.
        shift: see `Waves`.
        width: of the embedding of step and label.
        scale_shift: whether the embedding scales and shifts, rather than being added.
        resampling: by convolutions or by residual blocks.
        all_round: whether convolutions that halve the size are padded all round, or right and below.
    """

    widths: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    groups: int
    dropout: float
    epsilon: float
    waves: int
    width: int
    heads: int | None = 1
    head_channels: int | None = None
    shift: int = 1
    cosine_first: bool = False
    scale_shift: bool = False
    resampling: Literal["convolution", "residual"] = "convolution"
    symmetric_padding: bool = False

    def heads_at(self, width: int) -> int:
        """Return the heads of an attention over `width` channels."""
        return self.heads if self.heads is not None else width // (self.head_channels or width)

    @property
    def min_side(self) -> int:
        """The least side of an image that can be halved often enough."""
        rounds_up = self.symmetric_padding or self.resampling == "residual"
        return 1 if rounds_up else 2 ** (len(self.widths) - 1)

    def check(self, name: str, shape: Shape) -> None:
        """Refuse images that are too small for so many levels.

        Raises:
            DataError: that says what is possible.
        """
        if min(shape[1:]) < self.min_side:
            raise DataError(
                f"backbone {name}: {len(self.widths)} levels need at least {self.min_side}x{self.min_side} pixels; "
                f"got {shape[1]}x{shape[2]}: use fewer multipliers or a larger preparation.size"
            )


class UNetNetwork(nn.Module):
    """A U-Net: every state of the way down is joined to its twin on the way up.

    Called as `network(x, t, label=None)`: x (N, C, H, W), t (N,) int64, label (N,) int64 where it has classes.
    """

    def __init__(self, design: Design, inputs: int, classes: int, outputs: int) -> None:
        super().__init__()
        waves = SinusoidalEmbedding(design.waves, shift=design.shift, cosine_first=design.cosine_first)
        self.embedding = Embedding(waves, design.width, classes)
        self.enter = nn.Conv2d(inputs, design.widths[0], 3, padding=1)
        skips = self._build_down(design)
        self.middle1 = _block(design, design.widths[-1], design.widths[-1])
        self.middle_attention = _attention(design, design.widths[-1])
        self.middle2 = _block(design, design.widths[-1], design.widths[-1])
        self._build_up(design, skips)
        self.norm = GroupNormSiLU(design.groups, design.widths[0], eps=design.epsilon)
        self.leave = zero_module(nn.Conv2d(design.widths[0], outputs, 3, padding=1))

    def _build_down(self, design: Design) -> list[int]:
        """Build the way down; return the channels of the states that it leaves for the way up."""
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        current, skips = design.widths[0], [design.widths[0]]
        for level, width in enumerate(design.widths):
            stages = nn.ModuleList()
            for _ in range(design.blocks):
                stages.append(_Stage(design, level, current, width))
                current = width
                skips.append(current)
            self.down.append(stages)
            if level < len(design.widths) - 1:
                self.shrink.append(_Shrink(design, current))
                skips.append(current)
        return skips

    def _build_up(self, design: Design, skips: list[int]) -> None:
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        current = design.widths[-1]
        for level, width in reversed(list(enumerate(design.widths))):
            stages = nn.ModuleList()
            for _ in range(design.blocks + 1):
                stages.append(_Stage(design, level, current + skips.pop(), width))
                current = width
            self.up.append(stages)
            if level:
                self.grow.append(_Grow(design, current))

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the output for x at the steps t, (N, outputs, H, W)."""
        embedding = F.silu(self.embedding(t, label))
        x, skips = self._descend(self.enter(x), embedding)
        x = self.middle2(self.middle_attention(self.middle1(x, embedding)), embedding)
        x = self._ascend(x, skips, embedding)
        out: Tensor = self.leave(self.norm(x))
        return out

    def _descend(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        skips = [x]
        for level, stages in enumerate(self.down):
            for stage in stages:  # type: ignore[attr-defined]
                x = stage(x, embedding)
                skips.append(x)
            if level < len(self.shrink):
                x = self.shrink[level](x, embedding)
                skips.append(x)
        return x, skips

    def _ascend(self, x: Tensor, skips: list[Tensor], embedding: Tensor) -> Tensor:
        for level, stages in enumerate(self.up):
            for stage in stages:  # type: ignore[attr-defined]
                x = stage(torch.cat([x, skips.pop()], dim=1), embedding)
            if level < len(self.grow):
                x = self.grow[level](x, embedding, skips[-1].shape[-2:])
        return x


class _Stage(nn.Module):
    """A residual block, and attention behind it where the level has it."""

    def __init__(self, design: Design, level: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.block = _block(design, inputs, outputs)
        self.attention = _attention(design, outputs) if level in design.attention else None

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        x = self.block(x, embedding)
        return x if self.attention is None else self.attention(x)


class _Shrink(nn.Module):
    """Halves the size between two levels."""

    def __init__(self, design: Design, channels: int) -> None:
        super().__init__()
        residual = design.resampling == "residual"
        self.block = _block(design, channels, channels) if residual else None
        self.convolution = (
            None if residual else Downsample(channels, channels, symmetric_padding=design.symmetric_padding)
        )

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        if self.block is not None:
            x = self.block(x, embedding, downsample_mean)
        if self.convolution is not None:
            x = self.convolution(x)
        return x


class _Grow(nn.Module):
    """Doubles the size between two levels, or reaches an odd one."""

    def __init__(self, design: Design, channels: int) -> None:
        super().__init__()
        residual = design.resampling == "residual"
        self.block = _block(design, channels, channels) if residual else None
        self.convolution = None if residual else Upsample(channels)

    def forward(self, x: Tensor, embedding: Tensor, size: tuple[int, int]) -> Tensor:
        if self.block is not None:
            x = self.block(x, embedding, partial(resize_nearest, size=size))
        if self.convolution is not None:
            x = self.convolution(x, size)
        return x


def _block(design: Design, inputs: int, outputs: int) -> ResidualBlock:
    return ResidualBlock(
        inputs,
        outputs,
        design.width,
        design.groups,
        design.dropout,
        epsilon=design.epsilon,
        scale_shift=design.scale_shift,
    )


def _attention(design: Design, width: int) -> Attention:
    return Attention(width, design.heads_at(width), design.groups, design.epsilon)
