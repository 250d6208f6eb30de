"""Statistics of sets of feature vectors: rows, moments, samples, values cached for them, and the jackknife.

The jackknife's standard errors come from leaving out a tenth of the images at a time (Efron 1982, chapter 3). The
tenths are chosen by content, so that they do not depend on the order of the images. Equal images are spread over
them. With θ_g the result without group g of G, Var θ = (G - 1) / G sum (θ_g - mean θ)², for each set separately."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from math import sqrt
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from noisette import Batch, DataError

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = [
    "CHUNK",
    "SAMPLE_ROWS",
    "TensorCache",
    "assign_groups",
    "binomial_stderr",
    "canonical_order",
    "concat_states",
    "content_keys",
    "count",
    "gram",
    "interaction",
    "jackknife_shifts",
    "leave_one_out_means",
    "matmul_lower",
    "merge_moments",
    "merge_samples",
    "moments",
    "moments_of_many",
    "read_features",
    "require_same_length",
    "sample",
    "sample_count",
    "scale_to_variance",
    "sum_by_group",
    "variance",
]

_BLOCK = 192
"""Columns of a block: fewer columns skip more of the upper half, more columns multiply faster."""


def gram(rows: Tensor) -> Tensor:
    """Return the sum of x xᵀ over rows x, (D, D) of (N, D)."""
    found = rows.new_empty(rows.shape[1], rows.shape[1])
    for start in range(0, len(found), _BLOCK):
        end = start + _BLOCK
        found[start:, start:end] = rows[:, start:].T @ rows[:, start:end]
        found[start:end, end:] = found[end:, start:end].T
    return found


def matmul_lower(rows: Tensor, lower: Tensor) -> Tensor:
    """Return rows L, (N, D), for rows (N, D) and a lower triangle L (D, D)."""
    found = torch.empty_like(rows)
    for start in range(0, len(lower), _BLOCK):
        end = start + _BLOCK
        found[:, start:end] = rows[:, start:] @ lower[start:, start:end]
    return found


class TensorCache:
    """A cache keyed by the identity of a source tensor (states never change) and a key."""

    def __init__(self) -> None:
        self._values: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def get(self, source: Tensor, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return the value made from `source` under `key`; it is made on the first call."""
        if source not in self._values:
            self._values[source] = {}
        values: dict[Hashable, Any] = self._values[source]
        if key not in values:
            values[key] = make()
        return values[key]


_CHUNK = 1024


def read_features(batch: Batch) -> Tensor:
    """Return the features of a batch, (N, D) float32 on the CPU.

    Raises:
        DataError: if there are no features, or they are not finite.
    """
    features = batch.features
    if features is None or features.ndim != 2 or len(features) != len(batch.images):
        came = "none" if features is None else f"shape {tuple(features.shape)}"
        raise DataError(f"expected features of shape ({len(batch.images)}, D); got {came}")
    if not bool(torch.isfinite(features.sum(dtype=torch.float64))):  # float64: the sum cannot overflow
        raise DataError("expected finite features; the feature network gave NaN or infinity")
    return features.detach().to("cpu", torch.float32)


def concat_states(a: State, b: State) -> State:
    """Concatenate two states whose tensors have one row for each image; `{}` means no images.

    Raises:
        DataError: if they have different keys, or rows of different shapes.
    """
    if not a or not b:
        return dict(a or b)
    shapes = [{key: tuple(rows.shape[1:]) for key, rows in state.items()} for state in (a, b)]
    if shapes[0] != shapes[1]:
        raise DataError(f"cannot join images of {shapes[0]} with images of {shapes[1]}")
    return {key: torch.cat([a[key], b[key]]) for key in a}


def count(state: State, key: str) -> int:
    """Return the number of images in a state of rows."""
    return len(state[key]) if state else 0


def content_keys(rows: Tensor) -> Tensor:
    """Return a hash of the bits of each row, (N,) int64: a choice based on it does not depend on order."""
    flat = rows.contiguous().flatten(1)
    words = flat.view(torch.int32) if flat.dtype == torch.float32 else flat
    index = torch.arange(1, words.shape[1] + 1, dtype=torch.int64)
    factors = _mix_bits(index) | 1
    starts = range(0, len(words), _CHUNK)
    sums = [(words[start : start + _CHUNK].to(torch.int64) * factors).sum(dim=1) for start in starts]
    return _mix_bits(torch.cat(sums)) if sums else torch.empty(0, dtype=torch.int64)


def canonical_order(rows: Tensor) -> Tensor:
    """Return indices that sort rows by a hash of their bits, (N,) int64.

    The same rows are returned in the same order, whatever their original order, so that random choices among them
    do not depend on it.
    """
    return content_keys(rows).argsort(stable=True)


def _mix_bits(x: Tensor) -> Tensor:
    """Scatter 64-bit numbers (the finaliser of SplitMix64, Steele et al. 2014), wrapping as integers do."""
    x = (x ^ (x >> 30)) * -4658895280553007687
    x = (x ^ (x >> 27)) * -7723592293110705685
    return x ^ (x >> 31)


CHUNK = 4096
"""Rows that are converted to float64 at once."""


def moments(features: Tensor) -> State:
    """Return count (), mean (D,) and scatter (D, D) of features (N, D), in float64; `{}` for no rows."""
    if not len(features):
        return {}
    rows = features.to(torch.float64)
    mean = rows.mean(dim=0)
    centred = rows - mean
    return {"count": torch.tensor(len(rows)), "mean": mean, "scatter": gram(centred)}


def moments_of_many(features: Tensor) -> State:
    """Return the moments of any number of rows, in bounded memory."""
    state: State = {}
    for part in torch.split(features, CHUNK):
        state = merge_moments(state, moments(part))
    return state


def merge_moments(a: State, b: State) -> State:
    """Return the moments of the union of two sets.

    Raises:
        DataError: if their vectors have different lengths.
    """
    if not a or not b:
        return dict(a or b)
    require_same_length(a["mean"], b["mean"])
    n_a, n_b = int(a["count"]), int(b["count"])
    total = n_a + n_b
    step = b["mean"] - a["mean"]
    scatter = torch.addr(a["scatter"], step, step, alpha=n_a * n_b / total).add_(b["scatter"])
    return {"count": torch.tensor(total), "mean": a["mean"] + step * (n_b / total), "scatter": scatter}


def require_same_length(a: Tensor, b: Tensor) -> None:
    """Refuse vectors of different lengths, (..., D).

    Raises:
        DataError: with both lengths.
    """
    if a.shape[-1] != b.shape[-1]:
        raise DataError(f"expected features of one length; got {a.shape[-1]} and {b.shape[-1]}")


SAMPLE_ROWS = 2048
"""Rows of a sample: enough to estimate a variance to about 5 %."""


def sample(rows: Tensor) -> State:
    """Return the statistics of rows (N, D); `{}` for no rows.

    The statistics are keys (k,) int64, ascending, and sample (k, D), the rows. For more rows than `SAMPLE_ROWS`
    they also have count (), mean (D,) and scatter (D, D) of the other rows, in float64.
    """
    return _statistics(content_keys(rows), rows, {}) if len(rows) else {}


def merge_samples(a: State, b: State) -> State:
    """Return the statistics of the union of two sets.

    Raises:
        DataError: if their rows have different lengths.
    """
    if not a or not b:
        return dict(a or b)
    require_same_length(a["sample"], b["sample"])
    rows = torch.cat([a["sample"], b["sample"]])
    return _statistics(torch.cat([a["keys"], b["keys"]]), rows, merge_moments(_others(a), _others(b)))


def sample_count(state: State) -> int:
    """Return the number of rows."""
    return (len(state["sample"]) + int(state.get("count", 0))) if state else 0


def _statistics(keys: Tensor, rows: Tensor, others: State) -> State:
    """Return the statistics of some rows, and of other rows that are no longer in a sample."""
    order = keys.argsort(stable=True)
    kept, rest = order[:SAMPLE_ROWS], order[SAMPLE_ROWS:]
    others = merge_moments(others, moments_of_many(rows[rest]))
    return {"keys": keys[kept], "sample": rows[kept], **others}


def _others(state: State) -> State:
    return {key: state[key] for key in ("count", "mean", "scatter") if key in state}


GROUPS = 10

_PARTS = 32
"""Groups in which influences of single rows are summed: the more groups, the better the covariance estimate."""


def assign_groups(rows: Tensor) -> Tensor:
    """Return the group of each row, (N,) int64: `GROUPS` groups, or one per row where there are fewer rows."""
    order = canonical_order(rows)
    groups = torch.empty(len(rows), dtype=torch.int64)
    groups[order] = torch.arange(len(rows)) % min(GROUPS, len(rows))
    return groups


def leave_one_out_means(values: Tensor, groups: Tensor) -> Tensor:
    """Return the mean of values (N,) without each group, (G,)."""
    number = int(groups.max()) + 1
    sums = torch.zeros(number, dtype=torch.float64).index_add_(0, groups, values.to(torch.float64))
    sizes = groups.bincount(minlength=number)
    return (sums.sum() - sums) / (len(values) - sizes)


def jackknife_shifts(left: Tensor) -> Tensor:
    """Return a vector (G,) as long as the error of a result, from the results without each group."""
    return (left - left.mean()) * sqrt((len(left) - 1) / len(left))


def variance(left: Tensor) -> float:
    """Return the variance of a result from the results without each group, (G,)."""
    return float(jackknife_shifts(left).square().sum())


def interaction(left: Tensor) -> float:
    """Return the part of the variance that two sets share.

    The jackknife over either set includes it (Efron & Stein 1981: it overestimates), so that their sum counts it
    twice.

    Args:
        left: the result without each group of one set and each of the other, (G, H).
    """
    alone = left - left.mean(dim=0) - left.mean(dim=1, keepdim=True) + left.mean()
    g, h = left.shape
    return float(alone.square().sum()) * (g - 1) * (h - 1) / (g * h)


def sum_by_group(influences: Tensor) -> Tensor:
    """Return the sums over groups, (G,), of centred influences (N,), for rows in canonical order."""
    groups = torch.arange(len(influences)) % _PARTS
    return torch.zeros(_PARTS, dtype=torch.float64).index_add_(0, groups, influences - influences.mean())


def scale_to_variance(vector: Tensor, variance: float) -> tuple[float, ...]:
    """Return a vector rescaled to the length of the root of a variance."""
    length = float(vector.norm())
    return tuple((vector * (sqrt(max(variance, 0.0)) / length)).tolist()) if length else ()


def binomial_stderr(share: float, total: int) -> float:
    """Return the error of a share of `total` images, computed slightly inside (0, 1) so that it is never 0."""
    middle = (share * total + 1) / (total + 2)
    return sqrt(middle * (1 - middle) / total)
