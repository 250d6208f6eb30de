"""Metrics beside those of the public tools: equality, speed, memory, and the network."""

from __future__ import annotations

from typing import Any

from benchmarks import metrics_equal, metrics_memory, metrics_network, metrics_speed
from benchmarks.setting import Setting

TITLE = "Metrics"
PAGE = "metrics.md"


def measure(setting: Setting) -> dict[str, Any]:
    """Measure all of it."""
    return {
        "equal": metrics_equal.measured(setting.quick),
        "speed": metrics_speed.measured(setting),
        "network": metrics_network.measured(setting),
        "memory": metrics_memory.measured(setting),
    }


def table(result: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    return [
        "The same features, given to noisette and to the tools; the same to 1e-6:",
        "",
        *metrics_equal.table(result["equal"]),
        "",
        "### Speed",
        "",
        *metrics_speed.table(result["speed"]),
        "",
        "### The feature network",
        "",
        *metrics_network.table(result["network"]),
        "",
        "### Memory",
        "",
        *metrics_memory.table(result["memory"]),
    ]
