"""Peak memory of streamed metrics for 5,000 and 50,000 images of 1280 features."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import torch

from benchmarks.machine import held_mib, peak_mib
from benchmarks.setting import Setting
from benchmarks.table import markdown
from noisette import Batch, Metric
from noisette.evaluation.set_statistics import _StateAccumulator
from noisette_plugins.metrics import KID, Frechet, InceptionScore

__all__ = ["measure", "table"]

TITLE = "Memory of the metrics"
PAGE = "metrics.md"

_METRICS: dict[str, Metric] = {"frechet": Frechet(), "inception-score": InceptionScore(), "kid": KID()}


def measure(setting: Setting) -> dict[str, Any]:
    """Return the peak MiB of the statistics for each number of images, in separate processes."""
    counts, dimensions = ((300, 600), 64) if setting.quick else ((5000, 50_000), 1280)
    call = [sys.executable, "-m", "benchmarks.metrics_memory"]
    found: dict[str, Any] = {}
    for name in _METRICS:
        for count in counts:
            options = [name, str(count), str(dimensions), str(setting.threads)]
            done = subprocess.run([*call, *options], capture_output=True, text=True, check=True)
            found.setdefault(name, {})[str(count)] = json.loads(done.stdout.splitlines()[-1])
    return found


def _stream(name: str, count: int, dimensions: int) -> float:
    generator, growing = torch.Generator().manual_seed(0), _StateAccumulator(_METRICS[name])
    before = held_mib()
    for start in range(0, count, 128):
        part = torch.randn(min(128, count - start), dimensions, generator=generator)
        images = torch.zeros(len(part), 1, 1, 1, dtype=torch.uint8)
        growing.add(Batch(images, part, logits=part[:, :1000]))
    assert growing.state
    return peak_mib() - before


def table(found: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    counts = list(next(iter(found.values())))
    lines = [[name, *(f"{one[count]:.0f}" for count in counts)] for name, one in found.items()]
    return [
        *markdown(["statistics of", *(f"MiB for {int(count):,} images" for count in counts)], lines),
        "",
        "`kid` keeps the features of all images, and shares them with `precision-recall`, `density-coverage`, "
        "`nearest` and `frechet-infinity`.",
    ]


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[4]))
    print(json.dumps(_stream(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
