"""Conditioning: the channels that a network is given beside x_t (Saharia et al. 2021, SR3, section 2).

For self-conditioning the x0 that it predicted before; for super-resolution a low-resolution image: the mean over
areas, in 256 levels as a file would have it, enlarged to full size by bicubic interpolation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from noisette.contracts import Shape
from noisette.errors import DataError

__all__ = ["Conditioning", "downsample", "scaled_size", "upsample"]


@dataclass(frozen=True)
class Conditioning:
    """The further channels of a network's input, in this order.

    Attributes:
        self_condition: the x0 that it saw a step earlier.
        low_res_size: pixels of the shorter side of a small image, enlarged; None for none.
    """

    self_condition: bool = False
    low_res_size: int | None = None

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> Conditioning:
        """Read the training options of a config or a checkpoint."""
        return cls(bool(training.get("self_condition")), training.get("low_res_size"))

    def shape(self, image: Shape) -> Shape:
        """Return channels, height and width of what the network is shown.

        Raises:
            DataError: if the small image is no smaller than the image.
        """
        channels, height, width = image
        side = self.low_res_size
        if side is not None and side >= min(height, width):
            most = min(height, width)
            raise DataError(f"training.low_res_size: expected fewer pixels than the images' {most}; got {side}")
        return channels * (1 + self.self_condition + (side is not None)), height, width


def scaled_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return height and width of a small image whose shorter side is `side`."""
    shorter = min(size)
    return round(size[0] * side / shorter), round(size[1] * side / shorter)


def downsample(images: Tensor, side: int) -> Tensor:
    """Return small images of (N, C, H, W) in [-1, 1], (N, C, h, w), in 256 levels; the shorter side is `side`."""
    height, width = images.shape[2:]
    small = F.adaptive_avg_pool2d(images, scaled_size((height, width), side))
    return small.add(1).mul_(127.5).round_().div_(127.5).sub_(1)


def upsample(small: Tensor, size: tuple[int, int]) -> Tensor:
    """Return images (N, C, h, w) at height and width `size`, bicubic, within [-1, 1]."""
    return F.interpolate(small, size=size, mode="bicubic", align_corners=False).clamp_(-1, 1)
