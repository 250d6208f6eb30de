"""noisette's metrics beside the public tools on the same features: updates in batches of 128, and the result."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from benchmarks import metrics_peers as peers
from benchmarks.metrics_equal import ours, rows
from benchmarks.setting import Setting
from benchmarks.table import markdown, ms, times
from benchmarks.timing import against, interleaved, summary
from noisette_plugins.metrics import KID, DensityCoverage, Frechet, InceptionScore, PrecisionRecall

__all__ = ["measure", "table"]

TITLE = "Speed of the metrics"
PAGE = "metrics.md"

_OWN = "noisette"


def measure(setting: Setting) -> dict[str, Any]:
    """Time each metric and tool in turn; every round sees features of its own, so that nothing is remembered."""
    n, d, classes = (200, 64, 20) if setting.quick else (2000, 1280, 1000)
    x, y = rows(n, d, 1, 1.1).float(), rows(n, d, 2).float()
    logits = 2 * torch.randn(n, classes, generator=torch.Generator().manual_seed(5))
    size = n // 2
    work = {
        "frechet": (Frechet(), _quick(peers.frechet()), x.double(), y.double()),
        "kid": (KID(size=size), _quick(peers.kid(100, size)), x, y),
        "inception-score": (InceptionScore(), peers.inception(10), logits, logits),
        "precision-recall": (PrecisionRecall(), peers.manifolds(3), x, y),
        "density-coverage": (
            DensityCoverage(),
            {k: v for k, v in peers.manifolds(5).items() if k == peers.PRDC},
            x,
            y,
        ),
    }
    found: dict[str, Any] = {"pictures": n, "dimensions": d}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (metric, tools, a, b) in work.items():
            arms = {_OWN: lambda metric=metric, a=a, b=b: ours(metric, a.clone(), b.clone())}
            arms |= {tool: lambda f=f, a=a, b=b: f(a, b) for tool, f in tools.items()}
            seconds = interleaved(arms, setting.rounds(3), warmup=1)
            found[name] = {
                "times": {arm: summary(taken) for arm, taken in seconds.items()},
                "ratios": against(seconds, _OWN),
            }
    return found


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
    what = f"{found['pictures']} pictures each, {found['dimensions']} features, from the features to the result."
    return [
        what,
        "",
        *markdown(["metric", "tool", "ms (p20)", "ms (median)", "noisette is faster by"], lines),
    ]
