"""Resizing of images to the input size of a network. The method affects all distances (Parmar et al. 2022)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["clean", "legacy"]


def clean(images: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Resize by anti-aliased bicubic interpolation in floats, clipped to [0, 255], as clean-fid does with Pillow.

    torch uses the same filter as Pillow (a = -0.5, widened for downscaling), up to float32 rounding.

    Args:
        images: float32 (N, C, H, W) from 0 to 255.
        size: height and width of the result, as a tuple if they differ.
    """
    wanted = (size, size) if isinstance(size, int) else size
    if images.shape[2:] == wanted:
        return images
    scaled = F.interpolate(images, wanted, mode="bicubic", antialias=True, align_corners=False)
    return scaled.clamp(0, 255)


def legacy(images: Tensor, size: int) -> Tensor:
    """Resize as TensorFlow 1 did for the original FID: bilinear, not anti-aliased, pixel i at i * in / out.

    Args:
        images: float32 (N, C, H, W).
        size: height and width of the result.
    """
    low, high, share = _places(images.shape[2], size, images)
    rows = torch.lerp(images[:, :, low], images[:, :, high], share[:, None])
    low, high, share = _places(images.shape[3], size, images)
    return torch.lerp(rows[..., low], rows[..., high], share)


def _places(pixels: int, size: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    place = torch.arange(size, dtype=torch.float32, device=like.device) * torch.tensor(pixels / size)
    low = place.long()
    return low, (low + 1).clamp_max(pixels - 1), place - low
