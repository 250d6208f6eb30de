"""Products of matrices that are half zero, or whose halves are the same: in blocks, without the other half."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["gram", "times_lower"]

_BLOCK = 192
"""Columns of a block: fewer leave out more of the half, more are multiplied faster."""


def gram(rows: Tensor) -> Tensor:
    """Return the sum of x xᵀ over rows x, (D, D) of (N, D)."""
    found = rows.new_empty(rows.shape[1], rows.shape[1])
    for start in range(0, len(found), _BLOCK):
        end = start + _BLOCK
        found[start:, start:end] = rows[:, start:].T @ rows[:, start:end]
        found[start:end, end:] = found[end:, start:end].T
    return found


def times_lower(rows: Tensor, lower: Tensor) -> Tensor:
    """Return rows L, (N, D), for rows (N, D) and a lower triangle L (D, D)."""
    found = torch.empty_like(rows)
    for start in range(0, len(lower), _BLOCK):
        end = start + _BLOCK
        found[:, start:end] = rows[:, start:] @ lower[start:, start:end]
    return found
