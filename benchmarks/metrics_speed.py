"""Speed of noisette's metrics and the public tools on the same features, from batches of 128 to the result.

noisette accumulates statistics as in an evaluation, and its results include the error. Separate rows give the
Fréchet distance without its error, and several sets against one reference, whose statistics each tool computes
once if its interface allows it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from benchmarks import metrics_peers as peers
from benchmarks.metrics_equal import ours, rows, state
from benchmarks.setting import Setting
from benchmarks.table import markdown, ms, times
from benchmarks.timing import compare_times, summary, time_interleaved
from noisette import Metric
from noisette_plugins.metrics import KID, DensityCoverage, Frechet, InceptionScore, PrecisionRecall
from noisette_plugins.metrics.frechet_distance import Gaussian, GaussianPair, distance

__all__ = ["measure", "table"]

TITLE = "Speed of the metrics"
PAGE = "metrics.md"

_OWN = "noisette"
_SETS = 5

Arms = dict[str, Callable[[], object]]


def measure(setting: Setting) -> dict[str, Any]:
    """Time each metric and tool in turn, with new features in every round, so that nothing is cached."""
    n, d, classes = (200, 64, 20) if setting.quick else (2000, 1280, 1000)
    x, y = rows(n, d, 1, 1.1).float(), rows(n, d, 2).float()
    logits = 2 * torch.randn(n, classes, generator=torch.Generator().manual_seed(5))
    size = n // 2
    prdc = {name: tool for name, tool in peers.manifolds(5).items() if name == peers.PRDC}
    found: dict[str, Any] = {"images": n, "dimensions": d}
    for name, arms in {
        **_frechet(x, y),
        "kid": _arms(KID(size=size), _quick(peers.kid(100, size)), x, y),
        "inception-score": _arms(InceptionScore(), peers.inception(10), logits, logits),
        "precision-recall": _arms(PrecisionRecall(), peers.manifolds(3), x, y),
        "density-coverage": _arms(DensityCoverage(), prdc, x, y),
    }.items():
        with warnings.catch_warnings(), threadpool_limits(setting.threads):  # numpy's as well as torch's
            warnings.simplefilter("ignore")
            seconds = time_interleaved(arms, setting.rounds(3), warmup=1)
        found[name] = {
            "times": {arm: summary(taken) for arm, taken in seconds.items()},
            "ratios": compare_times(seconds, _OWN),
        }
    return found


def _arms(metric: Metric, tools: dict[str, peers.Tool], x: Tensor, y: Tensor) -> Arms:
    own = {_OWN: lambda: ours(metric, x.clone(), y.clone())}
    return own | {name: lambda tool=tool: tool(x, y) for name, tool in tools.items()}


def _frechet(x: Tensor, y: Tensor) -> dict[str, Arms]:
    """Return the distance with its error, that without it, and those of several sets; the tools see float64."""
    x, y = x.double(), y.double()
    whole = _arms(Frechet(), _quick(peers.frechet()), x, y)
    sets = [x * scale for scale in torch.linspace(1, 1.2, _SETS).tolist()]
    many = {_OWN: lambda: _of_many(sets, y)}
    many |= {name: lambda tool=tool: tool(sets, y) for name, tool in peers.frechet_of_many().items()}
    return {
        "frechet": whole,
        "frechet, value without its error": {**whole, _OWN: lambda: _value_alone(x, y)},
        f"frechet, {_SETS} sets against one reference": many,
    }


def _of_many(sets: list[Tensor], y: Tensor) -> list[object]:
    metric = Frechet()
    reference = state(metric, y)
    return [metric.compute(state(metric, x), reference, {}) for x in sets]


def _value_alone(x: Tensor, y: Tensor) -> float:
    return distance(GaussianPair(*(Gaussian.of(state(Frechet(), rows)) for rows in (x, y))))


def _quick(tools: dict[str, peers.Tool]) -> dict[str, peers.Tool]:
    """Return the tools without those that take roots of matrices by scipy: 20 s each."""
    return {name: tool for name, tool in tools.items() if name in (peers.FIDELITY, peers.TORCHMETRICS)}


def table(found: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    lines = [
        [name, arm, ms(taken["p20_ms"]), ms(taken["median_ms"]), times(one["ratios"].get(arm))]
        for name, one in found.items()
        if isinstance(one, dict)
        for arm, taken in one["times"].items()
    ]
    what = f"{found['images']} images each, {found['dimensions']} features, from the features to the result."
    return [
        what,
        "",
        *markdown(["metric", "tool", "ms (p20)", "ms (median)", "speed-up of noisette"], lines),
    ]
