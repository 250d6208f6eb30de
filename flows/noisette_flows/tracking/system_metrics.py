"""How busy the machine is while a network trains: `machine.jsonl` beside the journal, sent like it.

    {"time": 1732269000.1, "metrics": {"cpu_utilization_percentage": 97.1, ...}}

The names are MLflow's, so that its page of system metrics shows them. MLflow's own monitor would lose what it
measures while its server is away.
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
    """Measures from a thread while there is training.

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
        """Be told whether there is training."""
        (self._training.set if is_training else self._training.clear)()

    def end(self) -> None:
        """Stop; nothing is written from now on."""
        self._ended.set()
        self._training.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _run(self) -> None:
        self._training.wait()
        monitors = [] if self._ended.is_set() else _monitors()
        pause = min(_FIRST_SECONDS, self._seconds)  # of a short training, too, there is one
        while not self._ended.wait(pause):
            pause = self._seconds
            self._training.wait()
            found = _collect(monitors)
            if self._ended.is_set():
                return
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"time": time.time(), "metrics": found}) + "\n")


def read_system_metrics(run: Path) -> Iterator[tuple[float, dict[str, float]]]:
    """Yield the times and measurements of a run directory; a line that a crash cut short is left out."""
    path = run / MACHINE
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        if not line.endswith("\n"):
            return
        try:
            entry = json.loads(line)
            found = float(entry["time"]), {str(key): float(value) for key, value in entry["metrics"].items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            found = 0.0, {}  # a place is kept for it: places are what is counted
        yield found


def _monitors() -> list[Any]:
    """Return MLflow's monitors; that of GPUs where there are some, and nvidia-ml-py is installed."""
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
    found: dict[str, float] = {}
    for monitor in monitors:
        try:
            monitor.collect_metrics()
            found |= monitor.aggregate_metrics()
        except Exception as error:  # of a driver or the kernel
            log.debug("not measured: %s", error)
        monitor.clear_metrics()
    return found
