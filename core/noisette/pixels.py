"""Conversion between 8-bit images and the values of networks."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["to_bytes", "to_unit"]


def to_unit(images: Tensor) -> Tensor:
    """Map uint8 0 ... 255 to float32 -1 ... 1."""
    return images.float().div_(127.5).sub_(1.0)


def to_bytes(images: Tensor) -> Tensor:
    """Map [-1, 1] to uint8 0 ... 255, rounded to the nearest and clipped."""
    return images.add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
