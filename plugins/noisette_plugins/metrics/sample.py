"""Statistics of a set of rows: a sample of them, and the moments of the others.

The sample is chosen by content, the rows of the least hashes: it is of bounded size, and that of two sets together
is made from those of each, so that it hangs neither on the order of the rows nor on how they were split (bottom-k
sampling, Cohen & Kaplan 2007). Up to `KEPT` rows it is all of them: no matrix is made of them before it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette_plugins.metrics.moments import merged, moments_of_many, same_length
from noisette_plugins.metrics.rows import content_keys

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["KEPT", "count_of", "merged_samples", "sample"]

KEPT = 2048
"""Rows of a sample: enough to tell a variance to about 5 %."""


def sample(rows: Tensor) -> State:
    """Return the statistics of rows (N, D); `{}` for none.

    They are keys (k,) int64, ascending, and sample (k, D), the rows; of more rows than `KEPT` also count (),
    mean (D,) and scatter (D, D) of the others in float64.
    """
    return _statistics(content_keys(rows), rows, {}) if len(rows) else {}


def merged_samples(a: State, b: State) -> State:
    """Return the statistics of two sets together.

    Raises:
        DataError: if their rows have different lengths.
    """
    if not a or not b:
        return dict(a or b)
    same_length(a["sample"], b["sample"])
    rows = torch.cat([a["sample"], b["sample"]])
    return _statistics(torch.cat([a["keys"], b["keys"]]), rows, merged(_others(a), _others(b)))


def count_of(state: State) -> int:
    """Return how many rows there were."""
    return (len(state["sample"]) + int(state.get("count", 0))) if state else 0


def _statistics(keys: Tensor, rows: Tensor, others: State) -> State:
    """Return the statistics of some rows, and of others that are in no sample any more."""
    order = keys.argsort(stable=True)
    kept, rest = order[:KEPT], order[KEPT:]
    others = merged(others, moments_of_many(rows[rest]))
    return {"keys": keys[kept], "sample": rows[kept], **others}


def _others(state: State) -> State:
    return {key: state[key] for key in ("count", "mean", "scatter") if key in state}
