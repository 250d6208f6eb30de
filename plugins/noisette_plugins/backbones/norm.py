"""Group normalisation (Wu & He 2018), fast in bf16 on a CPU as well.

With channels last and less than 16 channels in a group, the library computes value by value there: its backward
takes ten to a hundred times as long as for wider groups, and its forward too, below 1024 positions. For such
groups the sums over positions are taken channel by channel instead. With x̂ = (x - mean) rstd and y = w x̂ + b

    dx = rstd (w d - (sum_g(w d) + x̂ sum_g(w d x̂)) / m)

where d is the gradient of y and sum_g runs over the m values of a group.
"""

from __future__ import annotations

from math import gcd
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["GroupNorm", "GroupNormSiLU"]

_MIN_FAST_CHANNELS = 16
"""Channels of a group from which the library is fast."""

_MIN_FAST_POSITIONS = 1024
"""Positions from which its forward is fast for narrow groups too."""


class GroupNorm(nn.GroupNorm):
    """Group normalisation with float32 statistics; the parameters are those of `nn.GroupNorm`."""

    def forward(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """Normalise x (N, C, H, W) within its groups.

        Given a scale and a shift, both (N, C), it returns (1 + scale) norm(x) + shift.
        """
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if scale is not None and shift is not None:
            gain = 1 + scale.float()
            weight, bias = weight * gain, bias * gain + shift
        if self._is_slow(x):
            out: Tensor = _GroupNormBySums.apply(x, weight, bias, self.num_groups, self.eps)
            return out
        if weight.ndim == 1:
            return F.group_norm(x, self.num_groups, weight, bias, self.eps)
        plain = F.group_norm(x, self.num_groups, eps=self.eps)
        return torch.addcmul(_to_broadcast(bias, plain.dtype), plain, _to_broadcast(weight, plain.dtype))

    def _is_slow(self, x: Tensor) -> bool:
        narrow = self.num_channels // self.num_groups < _MIN_FAST_CHANNELS
        bf16 = x.device.type == "cpu" and x.dtype == torch.bfloat16
        return narrow and bf16 and x.is_contiguous(memory_format=torch.channels_last)


class GroupNormSiLU(GroupNorm):
    """The pair that every residual block begins with."""

    def forward(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """Normalise x as `GroupNorm` does, and activate it."""
        return F.silu(super().forward(x, scale, shift), inplace=not torch.is_grad_enabled())


class _GroupNormBySums(torch.autograd.Function):
    """The normalisation by sums per channel; weight and bias are (C,), or (N, C) where each image has its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        large = x.shape[2] * x.shape[3] >= _MIN_FAST_POSITIONS
        y, mean, rstd = (_group_norm_by_library if large else _group_norm_by_sums)(x, weight, bias, groups, eps)
        ctx.save_for_backward(x, weight, mean, rstd)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, weight, mean, rstd = ctx.saved_tensors
        c, groups = x.shape[1], mean.shape[1]
        mean, rstd = (_repeat_per_channel(value.float(), c) for value in (mean, rstd))
        total = _position_sums(grad)
        scaled = (_position_sums(grad * x) - mean * total) * rstd  # sums of d x̂
        count = x[0].numel() // groups
        drift = _group_sums(total * weight, groups) / count
        slope = _group_sums(scaled * weight, groups) / count * rstd * rstd
        constant, factor, minus = _expand_rows(x, slope * mean - drift * rstd, rstd * weight, -slope)
        dx = torch.addcmul(constant, x, minus).addcmul_(grad, factor)
        own = weight.ndim == 2
        return dx, scaled if own else scaled.sum(0), total if own else total.sum(0), None, None


def _group_norm_by_library(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y (N, C, H, W), and the mean and 1 / deviation of each group, (N, G)."""
    n, c, h, w = x.shape
    if weight.ndim == 1:
        return torch.native_group_norm(x, weight, bias, n, c, h * w, groups, eps)
    plain, mean, rstd = torch.native_group_norm(x, None, None, n, c, h * w, groups, eps)
    constant, factor = _expand_rows(x, bias, weight)
    return torch.addcmul(constant, plain, factor), mean, rstd


def _group_norm_by_sums(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same."""
    n, c, h, w = x.shape
    values = x.permute(0, 2, 3, 1).flatten(1, 2).to(torch.float32, copy=True)
    count = h * w * (c // groups)
    mean = values.sum(dim=1).view(n, groups, -1).sum(-1) / count
    values.sub_(_repeat_per_channel(mean, c)[:, None])
    rstd = values.square().sum(dim=1).view(n, groups, -1).sum(-1).div_(count).add_(eps).rsqrt_()
    torch.addcmul(bias.view(-1, 1, c), values, (_repeat_per_channel(rstd, c) * weight)[:, None], out=values)
    return values.to(x.dtype).view(n, h, w, c).permute(0, 3, 1, 2), mean, rstd


def _to_broadcast(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return values of channels, (C,) or (N, C), as they broadcast against images."""
    return values.to(dtype)[..., None, None]


def _expand_rows(like: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
    """Return values of channels, each (N, C), written out along one row of images, (N, C, 1, W), in their dtype.

    Channels last, loops then run over W C values at a time instead of C, which takes 0.6 to 0.8 of the time.
    """
    rows = torch.stack(values).to(like.dtype)[:, :, None, None]
    return rows.expand(-1, -1, 1, like.shape[3], -1).contiguous().permute(0, 1, 4, 2, 3).unbind()


def _position_sums(x: Tensor) -> Tensor:
    """Return the float32 sums over each image's positions, (N, C).

    In bf16 a product with ones adds up in float32, in a quarter of the time of a sum that first casts. It rounds
    its result, the sum of a quarter of the positions: no more than the values themselves were rounded.
    """
    n, c, h, w = x.shape
    values = x.permute(0, 2, 3, 1)
    if x.dtype != torch.bfloat16:
        return values.sum(dim=(1, 2), dtype=torch.float32)
    parts = gcd(h * w, 4)
    sums = x.new_ones(1, h * w // parts) @ values.reshape(n * parts, -1, c)
    return sums.view(n, parts, c).sum(dim=1, dtype=torch.float32)


def _repeat_per_channel(values: Tensor, channels: int) -> Tensor:
    """Spread values of groups (N, G) to their channels, (N, C)."""
    return values.repeat_interleave(channels // values.shape[1], dim=1)


def _group_sums(values: Tensor, groups: int) -> Tensor:
    """Add values of channels (N, C) up within their groups, and spread the sums, (N, C)."""
    n, c = values.shape
    return _repeat_per_channel(values.view(n, groups, -1).sum(-1), c)
