"""Super-resolution: the small picture that a network is shown beside x_t (Saharia et al. 2021, SR3, section 2).

The small picture is the mean over areas, in 256 levels as a file would have it; the network sees it enlarged to
full size by bicubic interpolation, as further channels.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

__all__ = ["enlarged", "shrunk", "small_size"]


def small_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return height and width of a small picture whose shorter side is `side`."""
    shorter = min(size)
    return round(size[0] * side / shorter), round(size[1] * side / shorter)


def shrunk(pictures: Tensor, side: int) -> Tensor:
    """Return small pictures of (N, C, H, W) in [-1, 1], (N, C, h, w), in 256 levels; the shorter side is `side`."""
    height, width = pictures.shape[2:]
    small = F.adaptive_avg_pool2d(pictures, small_size((height, width), side))
    return small.add(1).mul_(127.5).round_().div_(127.5).sub_(1)


def enlarged(small: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pictures (N, C, h, w) at height and width `size`, bicubic, within [-1, 1]."""
    return F.interpolate(small, size=size, mode="bicubic", align_corners=False).clamp_(-1, 1)
