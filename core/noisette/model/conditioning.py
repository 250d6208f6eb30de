"""Conditioning: the input channels of a network besides x_t.

For self-conditioning, the x0 of an earlier call (Chen et al. 2023, Analog Bits). For super-resolution, a
low-resolution image (Saharia et al. 2021, SR3, section 2): the mean over areas in 256 levels, as in a file,
enlarged to full size by bicubic interpolation.
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
    """The further input channels of a network, in this order.

    Attributes:
        self_condition: whether they include the x0 of an earlier call.
        low_res_size: shorter side of the low-resolution image in pixels; None without super-resolution.
    """

    self_condition: bool = False
    low_res_size: int | None = None

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> Conditioning:
        """Return the conditioning for the training options of a config or a checkpoint."""
        return cls(bool(training.get("self_condition")), training.get("low_res_size"))

    def shape(self, image: Shape) -> Shape:
        """Return channels, height and width of the network's input for images of a shape.

        Raises:
            DataError: if the low-resolution image is not smaller than the image.
        """
        channels, height, width = image
        side = self.low_res_size
        if side is not None and side >= min(height, width):
            limit = min(height, width)
            raise DataError(f"training.low_res_size: expected fewer pixels than the images' {limit}; got {side}")
        return channels * (1 + self.self_condition + (side is not None)), height, width


def scaled_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return height and width scaled so that the shorter side is `side`."""
    shorter = min(size)
    return round(size[0] * side / shorter), round(size[1] * side / shorter)


def downsample(images: Tensor, side: int) -> Tensor:
    """Downsample images (N, C, H, W) in [-1, 1] to (N, C, h, w) in 256 levels; the shorter side is `side`."""
    height, width = images.shape[2:]
    small = F.adaptive_avg_pool2d(images, scaled_size((height, width), side))
    return small.add(1).mul_(127.5).round_().div_(127.5).sub_(1)


def upsample(small: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge images (N, C, h, w) to height and width `size` by bicubic interpolation, within [-1, 1]."""
    return F.interpolate(small, size=size, mode="bicubic", align_corners=False).clamp_(-1, 1)
