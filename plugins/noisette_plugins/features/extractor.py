"""From a network to an extractor that satisfies the contract of `Features`, and resizing of its input.

The method of resizing affects all distances (Parmar et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from noisette import DataError

if TYPE_CHECKING:
    from noisette.plugin_api import Extractor

__all__ = ["build_with_weights", "clean", "extractor", "fold", "legacy"]

Network = TypeVar("Network", bound=nn.Module)


def build_with_weights(build: Callable[[], Network], weights: Mapping[str, Tensor]) -> Network:
    """Build a network and load its weights, without drawing random numbers.

    Raises:
        RuntimeError: if the names or shapes of the weights do not match the network.
    """
    with torch.device("meta"):
        network = build()
    network.load_state_dict(weights, assign=True)
    return network


def fold(module: nn.Module, conv: str, norm: str) -> None:
    """Fold a batch normalisation into the preceding convolution: equivalent in evaluation mode, and faster."""
    setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
    setattr(module, norm, nn.Identity())


_GROUP = {"cpu": 16, "cuda": 128}
"""Batch size of the network by device type; the last batch is padded.

A constant input shape keeps the order of floating-point sums constant, so the features of an image are bitwise the
same in any batch.
"""


def extractor(
    network: nn.Module, prepare: Callable[[Tensor], Tensor], dimensions: int, device: torch.device
) -> Extractor:
    """Return a function from uint8 images (N, C, H, W) to float32 features (N, D).

    Args:
        network: maps prepared images (N, 3, S, S) to features (N, D).
        prepare: maps float32 images (N, C, H, W) from 0 to 255 to (N, C, S, S), each channel independently.
        dimensions: number of features, D.
        device: device of the network, which computes in float32.
    """
    network = network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    group = _GROUP.get(device.type, 16)

    def extract(images: Tensor) -> Tensor:
        _check(images)
        starts = range(0, len(images), group)
        parts = [_run_network(network, prepare, images[start : start + group], group, device) for start in starts]
        return torch.cat(parts) if parts else torch.empty(0, dimensions, device=device)

    return extract


@torch.no_grad()
def _run_network(
    network: nn.Module, prepare: Callable[[Tensor], Tensor], images: Tensor, group: int, device: torch.device
) -> Tensor:
    padded = F.pad(images, (0, 0, 0, 0, 0, 0, 0, group - len(images))).to(device, torch.float32)
    flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with flags, torch.autocast(device.type, enabled=False):
        seen = prepare(padded).expand(-1, 3, -1, -1)
        features: Tensor = network(seen.contiguous(memory_format=torch.channels_last))
    return features[: len(images)]


def _check(images: Tensor) -> None:
    if images.ndim != 4 or images.dtype != torch.uint8 or images.shape[1] not in (1, 3):
        came = f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}"
        raise DataError(f"features: expected images, uint8 (N, 1 or 3, H, W); got {came}")


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
