"""Sets of pictures for metrics, made from fixed seeds.

Pictures of three patterns with grain, their labels, and vectors that are a fixed linear map of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from noisette.contracts import Batch

__all__ = ["Sets", "made", "part_of"]


@dataclass(frozen=True)
class Sets:
    """What a metric is given.

    Attributes:
        reference, heldout, near: drawn alike.
        far: brighter, and with more grain.
    """

    reference: Batch
    heldout: Batch
    near: Batch
    far: Batch


@cache
def made(count: int) -> Sets:
    """Return the four sets of `count` pictures."""
    return Sets(_batch(count, 1), _batch(count, 2), _batch(count, 3), _batch(count, 4, grain=60.0, brighter=40.0))


def _batch(count: int, seed: int, grain: float = 25.0, brighter: float = 0.0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    patterns = torch.stack([(rows // 2 % 2), (columns // 2 % 2), ((rows + columns) // 3 % 2)]).float()
    clean = 50 + 120 * patterns[labels][:, None].expand(count, 3, 8, 8) + brighter
    noisy = clean + grain * torch.randn(count, 3, 8, 8, generator=generator)
    pictures = noisy.clamp(0, 255).round().to(torch.uint8)
    projection = torch.randn(192, 6, generator=torch.Generator().manual_seed(0)) / 192**0.5
    return Batch(pictures, (pictures.flatten(1).float() / 64) @ projection, labels)


def part_of(batch: Batch, rows: slice | Tensor) -> Batch:
    """Return some pictures of a batch, with their features and labels."""
    features, labels = (None if part is None else part[rows] for part in (batch.features, batch.labels))
    return Batch(batch.pictures[rows], features, labels)
