"""A sample of the rows that were seen, chosen by their content: the rows of the least hashes.

It is of bounded size, and that of two sets together is made from those of each: it hangs neither on the order of
the rows nor on how they were split (bottom-k sampling, Cohen & Kaplan 2007). Up to `KEPT` rows it is all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette_plugins.metrics.rows import content_keys

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["KEPT", "sample", "samples_merged"]

KEPT = 2048
"""Rows of a sample: enough to tell a variance to about 5 %."""


def sample(rows: Tensor) -> State:
    """Return the sample of rows (N, D): their keys (n,) int64, ascending, and themselves (n, D)."""
    return _least(content_keys(rows), rows)


def samples_merged(a: State, b: State) -> State:
    """Return the sample of two sets together."""
    return _least(torch.cat([a["keys"], b["keys"]]), torch.cat([a["sample"], b["sample"]]))


def _least(keys: Tensor, rows: Tensor) -> State:
    order = keys.argsort(stable=True)[:KEPT]
    return {"keys": keys[order], "sample": rows[order]}
