"""Layers that several backbones share: embeddings, attention, residual blocks, resampling, initial weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisette_plugins.backbones.norm import GroupNorm, GroupNormSiLU

__all__ = [
    "Attention",
    "Downsample",
    "Embedding",
    "LearnedSinusoidalEmbedding",
    "ResidualBlock",
    "SinusoidalEmbedding",
    "Upsample",
    "attend",
    "attend_without_kernel",
    "downsample_mean",
    "full_precision",
    "merge_heads",
    "resize_nearest",
    "split_heads",
    "zero_module",
]

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def zero_module(layer: Layer) -> Layer:
    """Set a layer's weights to zero, so that its residual branch starts at zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


_PLAIN_LIMIT = 1024
"""Positions up to which the matrix of weights may be written out; it has the square of this many values."""


def attend(q: Tensor, k: Tensor, v: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Mix the values v by the likeness of q and k, all (N, heads, positions, d); `dropout` is of the weights.

    In bf16 on a CPU plain products are used: the library's kernel takes two to ten times as long there, its
    backward most of all. Everywhere else it is the faster one.
    """
    slow = q.device.type == "cpu" and q.dtype == torch.bfloat16
    if slow and max(q.shape[-2], k.shape[-2]) <= _PLAIN_LIMIT:
        return attend_without_kernel(q, k, v, dropout=dropout)
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)


def attend_without_kernel(q: Tensor, k: Tensor, v: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Return the same as `attend`, by two products and a softmax."""
    weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return F.dropout(weights.softmax(dim=-1), dropout) @ v


def split_heads(x: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split maps (N, 3 C, H, W), queries first, into q, k and v, each (N, heads, H W, C / heads).

    The channels of a position lie together, without which the products take twice as long.
    """
    n, channels = x.shape[:2]
    rows = x.flatten(2).transpose(1, 2).contiguous().view(n, -1, 3, heads, channels // (3 * heads))
    q, k, v = rows.permute(2, 0, 3, 1, 4).unbind(0)
    return q, k, v


def merge_heads(mixed: Tensor, like: Tensor) -> Tensor:
    """Merge heads, (N, heads, H W, d), into maps, (N, heads d, H, W), of the size of `like`."""
    return mixed.transpose(1, 2).reshape(len(like), *like.shape[2:], -1).permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Residual self-attention over all positions after a group normalisation."""

    def __init__(self, channels: int, heads: int, groups: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.heads = heads
        self.norm = GroupNorm(groups, channels, eps=epsilon)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.project = zero_module(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Mix the positions of x, (N, C, H, W)."""
        mixed = attend(*split_heads(self.qkv(self.norm(x)), self.heads))
        out: Tensor = self.project(merge_heads(mixed, x))
        out += x
        return out


class ResidualBlock(nn.Module):
    """A residual block of two convolutions with an embedding between them.

    The embedding is added (Ho et al. 2020), or scales and shifts the normalised maps (Nichol & Dhariwal 2021). Sums
    are in place: the backward pass of a convolution does not need its output.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        groups: int,
        dropout: float,
        *,
        epsilon: float = 1e-5,
        scale_shift: bool = False,
    ) -> None:
        super().__init__()
        self.scale_shift = scale_shift
        self.norm1 = GroupNormSiLU(groups, inputs, eps=epsilon)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.embed = nn.Linear(width, 2 * outputs if scale_shift else outputs)
        self.norm2 = GroupNormSiLU(groups, outputs, eps=epsilon)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zero_module(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor, resize: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Transform x (N, C, H, W) under the activated embedding (N, width).

        With `resize` the block changes the size: of the skip, and of what enters the first convolution.
        """
        hidden = self.norm1(x)
        if resize is not None:
            hidden, x = resize(hidden), resize(x)
        hidden = self._apply_embedding(self.conv1(hidden), self.embed(embedding))
        out: Tensor = self.conv2(self.dropout(hidden))
        out += self.skip(x)
        return out

    def _apply_embedding(self, hidden: Tensor, scale_or_shift: Tensor) -> Tensor:
        """Normalise and activate under what the embedding says, (N, C) or (N, 2 C)."""
        if self.scale_shift:
            activated: Tensor = self.norm2(hidden, *scale_or_shift.chunk(2, dim=1))
        else:
            hidden += scale_or_shift[:, :, None, None]
            activated = self.norm2(hidden)
        return activated


class Downsample(nn.Module):
    """Halve the size with a strided convolution, padded right and below as in the DDPM paper's code, or around."""

    def __init__(self, inputs: int, outputs: int, *, symmetric_padding: bool = False) -> None:
        super().__init__()
        self.padding = (1, 1, 1, 1) if symmetric_padding else (0, 1, 0, 1)
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H // 2, W // 2); padded all round, an odd size is rounded up."""
        out: Tensor = self.conv(F.pad(x, self.padding))
        return out


class Upsample(nn.Module):
    """Double the size, or reach a given odd one, by nearest neighbours and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """Return (N, C, *size)."""
        out: Tensor = self.conv(resize_nearest(x, size))
        return out


def downsample_mean(x: Tensor) -> Tensor:
    """Return the means of squares of four values, (N, C, ⌈H / 2⌉, ⌈W / 2⌉); at an odd edge, of those there are."""
    return F.avg_pool2d(x, 2, ceil_mode=True)


def resize_nearest(x: Tensor, size: Sequence[int]) -> Tensor:
    """Return x (N, C, H, W) at another size, each value taken from its nearest neighbour."""
    return F.interpolate(x, size=tuple(size), mode="nearest")


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context without autocast."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


class SinusoidalEmbedding(nn.Module):
    """Sines and cosines of the step t, (N,) to (N, 2 count), at the rates theta^(-i / (count - shift)).

    Vaswani et al. 2017, section 3.5. With shift 1 the slowest rate is 1 / theta, as Ho et al. 2020 have it; with
    shift 0 it is a little faster (Nichol & Dhariwal 2021).
    """

    def __init__(self, count: int, *, shift: int = 1, theta: float = 10_000.0, cosine_first: bool = False) -> None:
        super().__init__()
        self.count, self.shift, self.theta, self.cosine_first = count, shift, theta, cosine_first
        self.features = 2 * count

    def forward(self, t: Tensor) -> Tensor:
        """Return the waves at the steps t."""
        exponents = torch.arange(self.count, device=t.device, dtype=torch.float32) / max(self.count - self.shift, 1)
        angles = t.float()[:, None] * torch.exp(exponents * -math.log(self.theta))
        parts = (angles.cos(), angles.sin()) if self.cosine_first else (angles.sin(), angles.cos())
        return torch.cat(parts, dim=1)


class LearnedSinusoidalEmbedding(nn.Module):
    """The step and its sines and cosines at random rates, learned or not: (N,) to (N, 2 count + 1)."""

    def __init__(self, count: int, *, learned: bool) -> None:
        super().__init__()
        self.features = 2 * count + 1
        rates = torch.randn(count)
        if learned:
            self.rates = nn.Parameter(rates)
        else:
            self.register_buffer("rates", rates)

    def forward(self, t: Tensor) -> Tensor:
        """Return t and its waves."""
        angles = t.float()[:, None] * self.rates * (2 * math.pi)
        return torch.cat([t.float()[:, None], angles.sin(), angles.cos()], dim=1)


class Embedding(nn.Module):
    """Two layers over the waves of the step, plus a vector of the label: (N,) and (N,) to (N, width).

    The last vector is that of the label "none".
    """

    def __init__(
        self,
        waves: SinusoidalEmbedding | LearnedSinusoidalEmbedding,
        width: int,
        classes: int,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.waves = waves
        self.inner = nn.Linear(waves.features, width)
        self.activation = activation or nn.SiLU()
        self.outer = nn.Linear(width, width)
        self.label = nn.Embedding(classes + 1, width) if classes else None

    def forward(self, t: Tensor, label: Tensor | None) -> Tensor:
        """Embed the steps t and their labels, (N,) int64; without labels they are "none"."""
        with full_precision(t.device):
            embedded: Tensor = self.outer(self.activation(self.inner(self.waves(t))))
            if self.label is None:
                return embedded
            label_vector: Tensor = self.label(torch.full_like(t, self.classes) if label is None else label)
            return embedded + label_vector
