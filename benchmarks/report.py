"""The page of docs, one section per measurement, generated from the JSON of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import (
    apart,
    busy,
    growth,
    losses,
    memory,
    metrics_equal,
    metrics_memory,
    metrics_network,
    metrics_speed,
    orchestration,
    overhead,
    sampling,
    startup,
    training,
)
from benchmarks.targets import targets

__all__ = ["MEASUREMENTS", "PAGES", "describe_machine", "page", "page_of", "write_page"]

MEASUREMENTS: dict[str, Any] = {
    "training": training,
    "apart": apart,
    "sampling": sampling,
    "overhead": overhead,
    "losses": losses,
    "growth": growth,
    "memory": memory,
    "orchestration": orchestration,
    "startup": startup,
    "busy": busy,
    "metrics": metrics_equal,
    "metrics-speed": metrics_speed,
    "metrics-network": metrics_network,
    "metrics-memory": metrics_memory,
}

PAGES = ("benchmarks.md", "metrics.md")
"""The pages of docs; a measurement names its page if it is not the first."""

_BEGIN, _END = "<!-- measured -->", "<!-- end -->"


def page_of(name: str) -> str:
    """Return the page of a measurement."""
    found: str = getattr(MEASUREMENTS[name], "PAGE", PAGES[0])
    return found


def page(run: dict[str, Any], name: str = PAGES[0]) -> str:
    """Return the measured part of a page of docs."""
    measurements = {key: each for key, each in run["measurements"].items() if page_of(key) == name}
    machine = run["machine"]
    where = describe_machine(machine)
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items() if number)
    here = [each for each in measurements.values() if each.get("machine", where) == where]
    date = max((each.get("date", machine["date"]) for each in here), default=machine["date"])
    when = f"Measured {date} on {where}"
    lines = [f"{when}. {versions}; Python {machine['python']}."]
    lines += ["", *targets({name: measured["result"] for name, measured in measurements.items()})]
    for name, result in measurements.items():
        loads = result["load"]
        noise = f", {result.get('threads', machine['threads'])} threads" + (f", load {loads:.1f}" if loads else "")
        if result not in here:
            noise += f", {result['date']} on {result['machine']}"
        body = MEASUREMENTS[name].table(result["result"])
        lines += ["", f"## {MEASUREMENTS[name].TITLE}", "", *body, "", f"*`--only {name}`{noise}*"]
    return "\n".join(lines) + "\n"


def describe_machine(machine: dict[str, Any]) -> str:
    """Return the GPU, or the processor with its cores and its bf16 instructions."""
    bf16 = "no bf16" if machine["bf16"] == "none" else machine["bf16"]
    return machine["gpu"] or f"{machine['processor']}, {machine['cores']} cores, {bf16}"


def write_page(run: dict[str, Any], path: Path) -> None:
    """Replace the part between the marks of a page."""
    text = path.read_text(encoding="utf-8")
    head, rest = text.split(_BEGIN)
    tail = rest.split(_END)[1]
    path.write_text(f"{head}{_BEGIN}\n{page(run, path.name)}{_END}{tail}", encoding="utf-8")
