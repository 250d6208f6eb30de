"""Values of noisette's metrics and of the public tools on the same features."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks import metrics_peers as peers
from benchmarks.setting import Setting
from benchmarks.table import markdown
from noisette import Batch, DataError, Estimate, Metric
from noisette.evaluation.set_statistics import _StateAccumulator
from noisette_plugins.metrics import KID, DensityCoverage, Frechet, InceptionScore, PrecisionRecall

__all__ = ["compare_all", "measure", "ours", "rows", "state", "table"]

TITLE = "Values compared with the public tools"
PAGE = "metrics.md"

Row = dict[str, Any]

_SAME = 1e-6
_NOTHING = 1e-9
"""Values below this on both sides count as equal."""


def measure(setting: Setting) -> list[Row]:
    """Compare all; see `compare_all`."""
    return compare_all(setting.quick)


def compare_all(quick: bool) -> list[Row]:
    """Return a row for each metric, set of features and tool: our value, theirs, and the deviation they give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [*_frechet(quick), *_kid(quick), *_scores(quick), *_manifolds(quick)]


def rows(count: int, dimensions: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    """Return rectified, correlated features whose variances fall off, float64 (N, D)."""
    mix = torch.randn(dimensions, dimensions, generator=torch.Generator().manual_seed(99)) / dimensions**0.5
    spread = 3 * torch.arange(1, dimensions + 1.0) ** -0.5
    normal = torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed)) * spread
    return ((normal @ mix) * scale + shift).relu().double()


def ours(metric: Metric, x: Tensor, y: Tensor) -> dict[str, Estimate]:
    """Return a noisette metric of the features, or logits, of generated and reference images."""
    alone = isinstance(metric, InceptionScore)  # looks at no reference
    return metric.compute(state(metric, x), {} if alone else state(metric, y), {})


def state(metric: Metric, some: Tensor) -> dict[str, Tensor]:
    """Return the statistics of features, or logits, (N, D), as an evaluation grows them."""
    growing = _StateAccumulator(metric)
    for part in some.float().split(128):
        images = torch.zeros(len(part), 1, 1, 1, dtype=torch.uint8)
        growing.add(Batch(images, part, logits=part))
    return growing.state


def _frechet(quick: bool) -> Iterator[Row]:
    d = 32 if quick else 256
    x, y = rows(8 * d, d, 1, 1.2, 0.05), rows(6 * d, d, 2)
    dead, also = x.clone(), y.clone()
    for some in (dead, also):
        some[:, 3], some[:, 6] = 0, 7
        some[:, 5] = some[:, 4]
    sets = {
        "more images than dimensions": (x, y),
        "fewer images": (x[: d // 2], y),
        "fewer images in both sets": (x[: d // 2], y[: d // 4]),
        "constant and duplicated features": (dead, also),
        "a set and itself": (y, y),
        "a small set and itself": (y[: d // 4], y[: d // 4]),
        "2 images": (x[:2], y),
        "1 image": (x[:1, :32], y[:, :32]),  # of 256 dimensions scipy's root of NaN did not come back
    }
    for what, (a, b) in sets.items():
        a, b = a.float().double(), b.float().double()  # what ours are given, too
        yield from _compare("frechet", what, Frechet(), "frechet", peers.frechet(), a, b)


def _kid(quick: bool) -> Iterator[Row]:
    d, n = (16, 60) if quick else (256, 1000)
    x, y = (some.float().double() for some in (rows(n, d, 3, 1.1), rows(n, d, 4)))
    metric = KID(size=n)
    yield from _compare("kid", "whole sets", metric, "kid", peers.kid(1, n), x, y)
    yield from _compare("kid", "a set and itself", metric, "kid", peers.kid(1, n), y, y)
    size, subsets = n // 4, 10 if quick else 100
    metric = KID(size=size, subsets=subsets)
    what = f"{subsets} subsets of {size}"
    yield from _compare("kid", what, metric, "kid", peers.kid(subsets, size), x, y)


def _scores(quick: bool) -> Iterator[Row]:
    n, k = (300, 20) if quick else (2000, 1008)
    logits = 2 * torch.randn(n, k, generator=torch.Generator().manual_seed(5))
    for splits, what in ((1, "1 split"), (10, "10 splits")):
        metric, tools = InceptionScore(splits=splits), peers.inception(splits)
        yield from _compare("inception-score", what, metric, "inception_score", tools, logits, logits)


def _manifolds(quick: bool) -> Iterator[Row]:
    n, d = (60, 16) if quick else (1000, 256)
    x, y = (some.float().double() for some in (rows(n, d, 6, 1.05), rows(n + n // 3, d, 7)))
    repeated = torch.cat([y[:1].expand(20, -1), y])
    for what, a, b in (("two sets", x, y), ("a set and itself", y, y), ("an image 21 times", x, repeated)):
        for metric in (PrecisionRecall(), DensityCoverage()):
            for name in ours(metric, a, b):
                chosen = {tool: _named(found, name) for tool, found in peers.manifolds(metric.k).items()}
                yield from _compare(name, f"{what}, k={metric.k}", metric, name, chosen, a, b)


def _named(tool: peers.Tool, name: str) -> peers.Tool:
    return lambda x, y: tool(x, y).get(name)


def _compare(
    metric: str, what: str, own: Metric, result: str, tools: dict[str, peers.Tool], x: Tensor, y: Tensor
) -> Iterator[Row]:
    try:
        estimate: Estimate | str = ours(own, x, y)[result]
    except DataError as refused:
        estimate = str(refused)
    for name, tool in tools.items():
        try:
            found = tool(x, y)
        except Exception as error:  # what a tool does with such input is what is asked
            found = f"{type(error).__name__}: {' '.join(str(error).split())[:60]}"
        if found is None:
            continue
        value, deviation = found if isinstance(found, tuple) else (found, None)
        yield {
            "metric": metric,
            "features": what,
            "tool": name,
            "ours": estimate if isinstance(estimate, str) else list(estimate),
            "theirs": value,
            "deviation": deviation,
        }


def table(found: list[Row]) -> list[str]:
    """Return the lines of the report: equal values, then different ones."""
    agreeing = [row for row in found if _difference(row) is not None and _difference(row) < _SAME]
    others = [row for row in found if row not in agreeing]
    equal = markdown(
        ["metric", "features", "tool", "noisette", "tool's value", "relative difference"],
        [
            [row["metric"], row["features"], row["tool"], _format_value(row["ours"]), _format_value(row["theirs"]),
             f"{_difference(row):.0e}"]
            for row in agreeing
        ],
    )  # fmt: skip
    apart = markdown(
        ["metric", "features", "tool", "noisette", "± error", "tool's value", "± standard deviation"],
        [
            [row["metric"], row["features"], row["tool"], _format_value(row["ours"]), _error(row["ours"]),
             _format_value(row["theirs"]), "" if row["deviation"] is None else f"{row['deviation']:.3g}"]
            for row in others
        ],
    )  # fmt: skip
    head = "Same features, equal to 1e-6:"
    return [head, "", *equal, "", "Different values:", "", *apart]


def _difference(row: Row) -> float | None:
    if isinstance(row["ours"], str) or isinstance(row["theirs"], str):
        return None
    a, b = row["ours"][0], row["theirs"]
    return 0.0 if max(abs(a), abs(b)) < _NOTHING else abs(a - b) / max(abs(a), abs(b))


def _format_value(value: Any) -> str:
    if isinstance(value, str):
        return f"refused: {value}"
    return f"{value[0] if isinstance(value, list) else value:.9g}"


def _error(value: Any) -> str:
    return "" if isinstance(value, str) or value[1] is None else f"{value[1]:.3g}"
