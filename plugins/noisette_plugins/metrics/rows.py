"""Rows of numbers that stand for pictures: reading, joining, and an order and a sample of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette import Batch, DataError

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["canonical_order", "content_keys", "count", "features_of", "joined"]

_CHUNK = 1024


def features_of(batch: Batch) -> Tensor:
    """Return the features of a batch, (N, D) float32 on the CPU.

    Raises:
        DataError: if there are none, or they are not finite.
    """
    features = batch.features
    if features is None or features.ndim != 2 or len(features) != len(batch.pictures):
        came = "none" if features is None else f"shape {tuple(features.shape)}"
        raise DataError(f"expected features of shape ({len(batch.pictures)}, D); got {came}")
    if not bool(torch.isfinite(features.sum(dtype=torch.float64))):  # so large no sum of float32 is
        raise DataError("expected finite features; the feature network gave NaN or infinity")
    return features.detach().to("cpu", torch.float32)


def joined(a: State, b: State) -> State:
    """Return two states whose tensors have a row for each picture as one; `{}` is no pictures.

    Raises:
        DataError: if they hold different things, or rows of different shapes.
    """
    if not a or not b:
        return dict(a or b)
    shapes = [{key: tuple(rows.shape[1:]) for key, rows in state.items()} for state in (a, b)]
    if shapes[0] != shapes[1]:
        raise DataError(f"cannot join pictures of {shapes[0]} with pictures of {shapes[1]}")
    return {key: torch.cat([a[key], b[key]]) for key in a}


def count(state: State, key: str) -> int:
    """Return how many pictures a state of rows has."""
    return len(state[key]) if state else 0


def content_keys(rows: Tensor) -> Tensor:
    """Return a hash of the bits of each row, (N,) int64: what is chosen by it hangs on no order."""
    flat = rows.contiguous().flatten(1)
    words = flat.view(torch.int32) if flat.dtype == torch.float32 else flat
    index = torch.arange(1, words.shape[1] + 1, dtype=torch.int64)
    factors = _mixed(index) | 1
    starts = range(0, len(words), _CHUNK)
    sums = [(words[start : start + _CHUNK].to(torch.int64) * factors).sum(dim=1) for start in starts]
    return _mixed(torch.cat(sums)) if sums else torch.empty(0, dtype=torch.int64)


def canonical_order(rows: Tensor) -> Tensor:
    """Return indices that sort rows by a hash of their bits, (N,) int64.

    The same rows come in the same order, whatever order they were seen in, so that what is drawn from them does
    not depend on it.
    """
    return content_keys(rows).argsort(stable=True)


def _mixed(x: Tensor) -> Tensor:
    """Scatter 64-bit numbers (the finaliser of SplitMix64, Steele et al. 2014), wrapping as integers do."""
    x = (x ^ (x >> 30)) * -4658895280553007687
    x = (x ^ (x >> 27)) * -7723592293110705685
    return x ^ (x >> 31)
