"""How time and memory of a training step grow with batch, image size and channels; each in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.setting import Setting, Work
from benchmarks.table import markdown, ms

TITLE = "Scaling"

_POINTS = {
    "batch": [Work(batch=batch) for batch in (16, 32, 64)],
    "size": [Work(batch=16, size=size) for size in (16, 32, 64)],
    "width": [Work(batch=16, width=width) for width in (16, 32, 64)],
}


def measure(setting: Setting) -> dict[str, Any]:
    """Measure each point of each series."""
    series = {"batch": [setting.work()]} if setting.quick else _POINTS
    return {name: [_apart(setting, work) for work in works] for name, works in series.items()}


def _apart(setting: Setting, work: Work) -> dict[str, Any]:
    arguments = json.dumps({"work": vars(work), "threads": setting.threads, "rounds": setting.rounds(5)})
    call = [sys.executable, "-m", "benchmarks.growth", arguments]
    said = subprocess.run(call, capture_output=True, text=True, check=True)
    return {**vars(work), **json.loads(said.stdout.splitlines()[-1])}


def _point(arguments: dict[str, Any]) -> dict[str, float]:
    """Measure one point: the time of a step, and the peak of memory above what is held before the first."""
    import torch

    from benchmarks.machine import held_mib, peak_mib
    from benchmarks.noisette_arm import NoisetteArm
    from benchmarks.timing import summary, time_interleaved

    torch.set_num_threads(arguments["threads"])
    with tempfile.TemporaryDirectory() as folder:
        arm = NoisetteArm(Setting(Path(folder)), Work(**arguments["work"]))
        before = held_mib()
        seconds = time_interleaved({"step": arm.step}, arguments["rounds"])["step"]
        gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
        return {**summary(seconds), "memory_mib": peak_mib() - before if gpu is None else gpu}


def table(result: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    rows = [
        [name, f"{p['size']}x{p['size']}", p["batch"], p["width"], ms(p["p20_ms"]), f"{p['memory_mib']:.0f}"]
        for name, points in result.items()
        for p in points
    ]
    head = ["series", "images", "batch", "channels", "ms per step (p20)", "peak MiB"]
    return [*markdown(head, rows), "", "![Scaling](images/benchmark-growth.png)"]


if __name__ == "__main__":
    print(json.dumps(_point(json.loads(sys.argv[1]))))
