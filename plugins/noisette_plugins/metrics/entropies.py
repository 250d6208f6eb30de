"""The inception score from sums of probabilities and of p log p, in groups of images chosen by content.

A split consists of some of the groups. In a split, mean KL(p(y|x) || p(y)) = mean sum p log p - sum q log q, where
q is the mean of p. The result without a group is the result of all splits, with that group removed from its split.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette import DataError, Estimate
from noisette_plugins.metrics.feature_statistics import content_keys, variance

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["merge_sums", "score", "sum_logits"]

_GROUPS = 100


def sum_logits(logits: Tensor | None) -> State:
    """Return the sums over logits (N, K).

    Raises:
        DataError: if there are no logits.
    """
    if logits is None or logits.ndim != 2:
        raise DataError("expected logits (N, K) of a classifier over the features; got none")
    logits = logits.detach().to("cpu", torch.float32)
    groups = content_keys(logits) % _GROUPS
    logits = logits.to(torch.float64)
    logits = logits - logits.amax(dim=1, keepdim=True)
    p = logits.exp()
    total = p.sum(dim=1, keepdim=True)
    p /= total
    p_log_p = (p * logits).sum(dim=1) - total[:, 0].log()
    return {
        "count": groups.bincount(minlength=_GROUPS),
        "p": torch.zeros(_GROUPS, p.shape[1], dtype=torch.float64).index_add_(0, groups, p),
        "p_log_p": torch.zeros(_GROUPS, dtype=torch.float64).index_add_(0, groups, p_log_p),
    }


def merge_sums(a: State, b: State) -> State:
    """Return the sums of two sets.

    Raises:
        DataError: if their classes differ.
    """
    if not a or not b:
        return dict(a or b)
    if a["p"].shape != b["p"].shape:
        raise DataError(f"expected logits of as many classes; got {a['p'].shape[1]} and {b['p'].shape[1]}")
    return {key: a[key] + b[key] for key in a}


def score(state: State, splits: int) -> Estimate:
    """Return the mean score of the splits, with its error.

    Raises:
        DataError: if there are no images, or a split has fewer than two groups of images.
    """
    count = state["count"] if state else torch.zeros(_GROUPS, dtype=torch.int64)
    found = torch.arange(_GROUPS)[count > 0]
    split = found * splits // _GROUPS
    least = int(split.bincount(minlength=splits).min())
    if least < 2:
        raise DataError(
            f"expected images of at least 2 of {_GROUPS // splits} kinds in each of {splits} splits, chosen by "
            f"content; got {int(count.sum())} images of {len(found)} kinds in all: take fewer splits"
        )
    groups = [state[key][found].to(torch.float64) for key in ("count", "p", "p_log_p")]
    whole = [one.new_zeros(splits, *one.shape[1:]).index_add_(0, split, one) for one in groups]
    scores = _scores(*whole)
    without = _scores(*(sums[split] - own for sums, own in zip(whole, groups, strict=True)))
    left = scores.sum() - scores[split] + without
    return Estimate(float(scores.mean()), sqrt(variance(left / splits)))


def _scores(count: Tensor, p: Tensor, p_log_p: Tensor) -> Tensor:
    """Return scores (S,) from sums over images, (S,), (S, K) and (S,)."""
    q = (p / count[:, None]).clamp(min=0)  # subtracting a group's sums may round below 0
    return (p_log_p / count - torch.xlogy(q, q).sum(dim=1)).exp()
