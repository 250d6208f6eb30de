"""Halving and doubling the size of a picture."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Downsample", "Upsample", "grown", "halved"]


class Downsample(nn.Module):
    """Halve the size with a strided convolution, padded right and below as in the DDPM paper's code, or around."""

    def __init__(self, inputs: int, outputs: int, *, all_round: bool = False) -> None:
        super().__init__()
        self.padding = (1, 1, 1, 1) if all_round else (0, 1, 0, 1)
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
        out: Tensor = self.conv(grown(x, size))
        return out


def halved(x: Tensor) -> Tensor:
    """Return the means of squares of four values, (N, C, ⌈H / 2⌉, ⌈W / 2⌉); at an odd edge, of those there are."""
    return F.avg_pool2d(x, 2, ceil_mode=True)


def grown(x: Tensor, size: Sequence[int]) -> Tensor:
    """Return x (N, C, H, W) at another size, each value taken from its nearest neighbour."""
    return F.interpolate(x, size=tuple(size), mode="nearest")
