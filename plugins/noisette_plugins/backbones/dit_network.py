"""The network that `dit` builds.

A block normalises, scales and shifts its tokens, and its output passes a gate. Scales, shifts and gates are
computed from timestep and label by a layer that starts at zero, so every block starts as the identity.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisette import Shape
from noisette_plugins.backbones.layers import Embedding, SinusoidalEmbedding, attend, zero_module

__all__ = ["DiTNetwork"]


class _Options(Protocol):
    """What is read of `dit`."""

    @property
    def patch(self) -> int: ...

    @property
    def depth(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def heads(self) -> int: ...

    @property
    def expansion(self) -> float: ...


class DiTNetwork(nn.Module):
    """Patches in, transformer blocks, patches out.

    Called as `network(x, t, label=None)`: x (N, C, H, W), t (N,) int64, label (N,) int64 where it has classes.
    """

    pos_embed: Tensor

    def __init__(self, config: _Options, shape: Shape, classes: int, outputs: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.patch = config.patch
        self.grid = (height // config.patch, width // config.patch)
        self.enter = nn.Conv2d(channels, config.width, config.patch, stride=config.patch)
        self.register_buffer("pos_embed", _position_embedding(*self.grid, config.width), persistent=False)
        self.embedding = Embedding(SinusoidalEmbedding(128, shift=0, cosine_first=True), config.width, classes)
        hidden = int(config.width * config.expansion)
        self.blocks = nn.ModuleList(_Block(config.width, config.heads, hidden) for _ in range(config.depth))
        self.steer = nn.Linear(config.width, 2 * config.width)
        self.leave = nn.Linear(config.width, config.patch**2 * outputs)
        self._init_weights()

    def _init_weights(self) -> None:
        """Set the weights as the paper's code does."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        nn.init.xavier_uniform_(self.enter.weight.flatten(1))
        nn.init.zeros_(self.enter.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.embedding.inner.weight, std=0.02)
        nn.init.normal_(self.embedding.outer.weight, std=0.02)
        if self.embedding.label is not None:
            nn.init.normal_(self.embedding.label.weight, std=0.02)
        for layer in (
            self.steer,
            self.leave,
            *(block.steer for block in self.modules() if isinstance(block, _Block)),
        ):
            zero_module(layer)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the output for x at the steps t, (N, outputs, H, W)."""
        tokens = self.enter(x).flatten(2).transpose(1, 2)
        tokens = tokens + self.pos_embed.to(tokens.dtype)
        embedding = F.silu(self.embedding(t, label))
        for block in self.blocks:
            tokens = block(tokens, embedding)
        shift, scale = self.steer(embedding)[:, None].chunk(2, dim=-1)
        return self._unpatchify(self.leave(_modulate(tokens, shift, scale)))

    def _unpatchify(self, tokens: Tensor) -> Tensor:
        """Lay the patches (N, positions, patch² C) side by side, (N, C, H, W)."""
        rows, columns = self.grid
        patches = tokens.view(len(tokens), rows, columns, self.patch, self.patch, -1)
        return patches.permute(0, 5, 1, 3, 2, 4).reshape(len(tokens), -1, rows * self.patch, columns * self.patch)


class _Block(nn.Module):
    """Attention, then two layers for each token; both normalised, steered and gated."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.steer = nn.Linear(width, 6 * width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, width)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Transform the tokens x (N, positions, width) under the activated embedding (N, width)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.steer(embedding)[:, None].chunk(6, dim=-1)
        x = x + gate1 * self._attend(_modulate(x, shift1, scale1))
        hidden = F.gelu(self.inner(_modulate(x, shift2, scale2)), approximate="tanh")
        out: Tensor = x + gate2 * self.outer(hidden)
        return out

    def _attend(self, x: Tensor) -> Tensor:
        n, positions, width = x.shape
        split = self.qkv(x).view(n, positions, 3, self.heads, width // self.heads)
        mixed = attend(*split.permute(2, 0, 3, 1, 4).unbind(0))
        out: Tensor = self.project(mixed.transpose(1, 2).reshape(n, positions, width))
        return out


def _modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalise each token of x (N, positions, width), then scale and shift it."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


def _position_embedding(rows: int, columns: int, width: int) -> Tensor:
    """Return waves of each position's column and row, (positions, width)."""
    waves = SinusoidalEmbedding(width // 4, shift=0)
    across, down = waves(torch.arange(columns)), waves(torch.arange(rows))
    return torch.cat([across.repeat(rows, 1), down.repeat_interleave(columns, dim=0)], dim=1)
