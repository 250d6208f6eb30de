"""What the fault suite measured, as JSON and as the table of docs/reliability.md."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from noisette.machine import processor_name

__all__ = ["OUTAGES", "Result", "machine", "write"]

OUTAGES = "Outages of the tracking server"
"""The section that stands on a page of its own."""


@dataclass(frozen=True)
class Result:
    """One scenario.

    Attributes:
        section: the heading it stands under.
        fault: what was done.
        trials: how often.
        held: how often all was as it should be.
        seen: more counts, by what was counted.
        control: what the suite is blind without, and how often it saw that.
    """

    section: str
    fault: str
    trials: int
    held: int
    seen: dict[str, Any] = field(default_factory=dict)
    control: dict[str, Any] = field(default_factory=dict)


def machine() -> dict[str, Any]:
    """Return where it was measured."""
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "safetensors": version("safetensors"),
        "noisette": version("noisette"),
    }


def write(results: Sequence[Result], json_file: Path, page: Path, mark: str) -> None:
    """Write the results, and the table named `mark`, as a target of `make` is, between the marks of a page."""
    content = {"machine": machine(), "results": [asdict(result) for result in results]}
    json_file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    marked = re.compile(rf"(<!-- table: {mark} -->\n).*?(<!-- end -->)", re.DOTALL)
    text, found = marked.subn(lambda marks: marks[1] + _tables(results, mark) + marks[2], page.read_text("utf-8"))
    assert found == 1, f"{page}: expected the marks of one table"
    page.write_text(text, encoding="utf-8")


def _tables(results: Sequence[Result], mark: str) -> str:
    here = machine()
    lines = [
        f"Measured by `make {mark}` on {here['processor']}, {here['cores']} cores, {here['system']}, "
        f"Python {here['python']}, torch {here['torch']}, safetensors {here['safetensors']}.",
        "",
    ]
    for section, rows in groupby(results, lambda result: result.section):
        lines += [f"### {section}", ""]
        lines += ["| fault | trials | passed | details | control |", "|---|---:|---:|---|---|"]
        for row in rows:
            cells = (row.fault, str(row.trials), str(row.held), _told(row.seen), _told(row.control))
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _told(counts: dict[str, Any]) -> str:
    return "; ".join(f"{what}: {count}" for what, count in counts.items())
