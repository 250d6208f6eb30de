"""System metrics during training: `machine.jsonl` in the run directory.

    {"time": 1732269000.1, "metrics": {"cpu_utilization_percentage": 97.1, ...}}

The names are MLflow's, for its page of system metrics. MLflow's own monitor would lose measurements while its
server is away.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["MACHINE", "SystemMetrics", "read_system_metrics"]

MACHINE = "machine.jsonl"

log = logging.getLogger(__name__)

_FIRST_SECONDS, _SECONDS = 1.0, 10.0
_SWITCH, _INTERVAL = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"


class SystemMetrics:
    """Measures in a thread during training.

    Args:
        run: the run directory.
    """

    def __init__(self, run: Path) -> None:
        self._path = run / MACHINE
        self._seconds = float(os.environ.get(_INTERVAL) or _SECONDS)
        self._training, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="machine", daemon=True)
        if os.environ.get(_SWITCH, "true").lower() not in ("false", "0"):
            self._thread.start()

    def set_training(self, is_training: bool) -> None:
        """Start or pause the measurements."""
        (self._training.set if is_training else self._training.clear)()

    def end(self) -> None:
        """Stop; nothing is written afterwards."""
        self._ended.set()
        self._training.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _run(self) -> None:
        self._training.wait()
        monitors = [] if self._ended.is_set() else _monitors()
        pause = min(_FIRST_SECONDS, self._seconds)  # so that a short training has one too
        while not self._ended.wait(pause):
            pause = self._seconds
            self._training.wait()
            metrics = _collect(monitors)
            if self._ended.is_set():
                return
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"time": time.time(), "metrics": metrics}) + "\n")


def read_system_metrics(run: Path) -> Iterator[tuple[float, dict[str, float]]]:
    """Yield the times and metrics of a run directory; an incomplete last line is skipped."""
    path = run / MACHINE
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        if not line.endswith("\n"):
            return
        try:
            entry = json.loads(line)
            measured = float(entry["time"]), {str(key): float(value) for key, value in entry["metrics"].items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            measured = 0.0, {}  # counted as a line
        yield measured


def _monitors() -> list[Any]:
    """Return MLflow's monitors; that of GPUs needs nvidia-ml-py."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors = []
    for kind in (CPUMonitor, DiskMonitor, NetworkMonitor, GPUMonitor):
        try:
            monitors.append(kind())
        except Exception as error:  # no GPU, no driver, a container without counters
            log.debug("not measured: %s: %s", kind.__name__, error)
    return monitors


def _collect(monitors: list[Any]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for monitor in monitors:
        try:
            monitor.collect_metrics()
            metrics |= monitor.aggregate_metrics()
        except Exception as error:  # of a driver or the kernel
            log.debug("not measured: %s", error)
        monitor.clear_metrics()
    return metrics
