"""The inception score from sums: of probabilities and of p log p, in groups that pictures fall into by content.

A split is some of the groups. In it mean KL(p(y|x) || p(y)) = mean sum p log p - sum q log q, where q is the mean
of p. The result without a group is that of all splits, one of them without that group.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette import DataError, Estimate
from noisette_plugins.metrics.jackknife import variance
from noisette_plugins.metrics.rows import content_keys

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["merged", "score", "summed"]

_GROUPS = 100


def summed(logits: Tensor | None) -> State:
    """Return the sums over logits (N, K).

    Raises:
        DataError: if there are none.
    """
    if logits is None or logits.ndim != 2:
        raise DataError("expected logits (N, K) of a classifier over the features; got none")
    logits = logits.detach().to("cpu", torch.float32)
    groups = content_keys(logits) % _GROUPS
    logs = logits.to(torch.float64).log_softmax(dim=1)
    p = logs.exp()
    return {
        "count": groups.bincount(minlength=_GROUPS),
        "p": torch.zeros(_GROUPS, p.shape[1], dtype=torch.float64).index_add_(0, groups, p),
        "p_log_p": torch.zeros(_GROUPS, dtype=torch.float64).index_add_(0, groups, (p * logs).sum(dim=1)),
    }


def merged(a: State, b: State) -> State:
    """Return the sums of two sets.

    Raises:
        DataError: if they are over different classes.
    """
    if not a or not b:
        return dict(a or b)
    if a["p"].shape != b["p"].shape:
        raise DataError(f"expected logits of as many classes; got {a['p'].shape[1]} and {b['p'].shape[1]}")
    return {key: a[key] + b[key] for key in a}


def score(state: State, splits: int) -> Estimate:
    """Return the mean score of the splits, with its error.

    Raises:
        DataError: if there are no pictures, or a split has no two groups of pictures.
    """
    count = state["count"] if state else torch.zeros(_GROUPS, dtype=torch.int64)
    found = torch.arange(_GROUPS)[count > 0]
    parts = [found[found * splits // _GROUPS == split] for split in range(splits)]
    if min(map(len, parts)) < 2:
        raise DataError(
            f"expected pictures of at least 2 of {_GROUPS // splits} kinds in each of {splits} splits, chosen by "
            f"content; got {int(count.sum())} pictures of {len(found)} kinds in all: take fewer splits"
        )
    scores = [_score(state, part) for part in parts]
    left = [
        sum(scores) - whole + _score(state, part[part != group])
        for whole, part in zip(scores, parts, strict=True)
        for group in part
    ]
    return Estimate(sum(scores) / splits, sqrt(variance(torch.tensor(left, dtype=torch.float64) / splits)))


def _score(state: State, groups: Tensor) -> float:
    """Return the score of the pictures of some groups."""
    count = state["count"][groups].sum()
    q = state["p"][groups].sum(dim=0) / count
    return float((state["p_log_p"][groups].sum() / count - torch.xlogy(q, q).sum()).exp())
