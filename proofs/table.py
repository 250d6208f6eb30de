"""The part of docs/experiments.md that is generated: settings, deviations and what was compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from proofs.comparison import TOLERANCE, Comparison
from proofs.settings import ORIGINALS, SETTINGS, rows

__all__ = ["BEGIN", "END", "render", "write_results"]

BEGIN, END = "<!-- make prove: begin -->", "<!-- make prove: end -->"
RESULTS = Path(__file__).parent / "results.json"
PAGE = Path(__file__).parent.parent / "docs" / "experiments.md"


def render() -> str:
    """Return the generated part, from the settings and the results of the last complete run."""
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    return "\n".join([BEGIN, "", *_summary(results), "", *_deviations(), "", END])


def write_results(results: Mapping[str, Sequence[Comparison]], *, whole: bool) -> None:
    """Keep the results of a run, and write the page; unless a recipe is `whole`, its other results are kept too."""
    from noisette.machine import processor_name

    kept: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name, comparisons in results.items():
        before = {} if whole or name not in kept else {row[0]: row for row in kept[name]["comparisons"]}
        new = {x.quantity: [x.quantity, float(f"{x.difference:.1e}"), x.reason] for x in comparisons}
        kept[name] = {
            "machine": processor_name(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "comparisons": list((before | new).values()),
        }
    kept = {name: kept[name] for name in ORIGINALS if name in kept}
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    PAGE.write_text(before + render() + rest.split(END)[1], encoding="utf-8")


def _summary(results: Mapping[str, Any]) -> Iterator[str]:
    yield "| recipe | original | settings equal, listed | compared: largest difference |"
    yield "|---|---|---|---|"
    for name, original in ORIGINALS.items():
        found = rows(name)
        equal = sum(row.is_equal for row in found)
        compared = "not yet"
        if name in results:
            compared = "; ".join(
                f"{quantity} {difference:.0e}{' (listed)' if reason else ''}"
                for quantity, difference, reason in results[name]["comparisons"]
            )
        yield f"| {name} | {original} | {equal}, {len(found) - equal} | {compared} |"
    machines = {f"{found['machine']}, {found['date']}" for found in results.values()}
    if machines:
        yield ""
        yield f"Compared in float32 on: {'; '.join(sorted(machines))}. Up to {TOLERANCE:.0e} counts as equal."


def _deviations() -> Iterator[str]:
    yield "| recipe | setting | original | noisette | reason |"
    yield "|---|---|---|---|---|"
    for name in SETTINGS:
        for row in rows(name):
            if not row.is_equal:
                yield f"| {name} | {row.name} | {_cell(row.original)} | {_cell(row.ours)} | {row.reason} |"


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_cell(part) for part in value) or "none"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(getattr(value, "name", value))
