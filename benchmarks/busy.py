"""The demo on a busy machine: a run alone, and next to two processes that each keep a core busy.

In the control, which runs once, two threads spin while they wait, as they do by default.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.orchestration import environment
from benchmarks.setting import Setting
from benchmarks.table import markdown

TITLE = "On a busy machine"

_CONFIG = Path(__file__).parent.parent / "configs" / "digits.yaml"
_BUSY = 2  # processes
_PATIENCE = 10.0  # times the quiet run, after which a run is ended
_STEPS, _IMAGES = 100, 24
DEMO, CONTROL = "the demo", "two threads that spin (control)"
_ARMS: dict[str, tuple[list[str], str]] = {
    DEMO: ([], "PASSIVE"),
    CONTROL: (["threads=2"], "ACTIVE"),
}


def measure(setting: Setting) -> dict[str, Any]:
    """Run every arm alone and next to the busy processes in turn, each time in a new folder."""
    rows: dict[str, dict[str, list[float]]] = {name: {"alone": [], "busy": []} for name in _ARMS}
    for turn in range(1 if setting.quick else 3):
        for name, seconds in rows.items():
            if name == CONTROL and turn:
                continue
            alone = _run(setting, name, turn, 600.0)
            seconds["alone"].append(alone)
            with _busy_processes():
                seconds["busy"].append(_run(setting, name, turn, _PATIENCE * alone))
    ratios = {name: median(seconds["busy"]) / median(seconds["alone"]) for name, seconds in rows.items()}
    return {"seconds": rows, "ratios": ratios, "patience": _PATIENCE}


def _run(setting: Setting, arm: str, turn: int, patience: float) -> float:
    """Return the seconds of a whole run of few steps, or the patience with it."""
    options, waiting = _ARMS[arm]
    output = setting.folder / "busy" / f"{time.monotonic_ns()}"
    steps, count = (20, 8) if setting.quick else (_STEPS, _IMAGES)
    settings = [*options, f"seed={turn}", f"training.steps={steps}", f"sampling.num_images={count}"]
    command = [str(Path(sys.executable).with_name("noisette")), "run", str(_CONFIG), "--output", str(output)]
    command += [part for setting_ in settings for part in ("--set", setting_)]
    surroundings = {**environment(setting), "OMP_WAIT_POLICY": waiting}
    surroundings.pop("OMP_NUM_THREADS", None)
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=surroundings) as run:
        try:
            if run.wait(patience):
                raise RuntimeError(f"{' '.join(command)}: exit status {run.returncode}")
        except subprocess.TimeoutExpired:
            run.terminate()
            return patience
    return time.perf_counter() - start


@contextmanager
def _busy_processes() -> Iterator[None]:
    spin = [sys.executable, "-c", f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(100_000))"]
    busy = [subprocess.Popen(spin) for _ in range(_BUSY)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def table(result: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    rows = []
    for name, seconds in result["seconds"].items():
        alone, busy, ratio = median(seconds["alone"]), median(seconds["busy"]), result["ratios"][name]
        more = "more than " if ratio > 0.99 * result["patience"] else ""
        rows.append([name, f"{alone:.0f}", f"{more}{busy:.0f}", f"{more}{ratio:.1f}"])
    head = [f"run of {_STEPS} steps, 7 samplers", "seconds alone", f"next to {_BUSY} busy processes", "ratio"]
    return markdown(head, rows)
