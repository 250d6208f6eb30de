"""What a comparison of several models shows: the table by model, which differences count, the charts."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from noisette import Report
from noisette.evaluation.differences import LEVEL
from noisette.evaluation.text import short_header
from noisette.sweep import Decided, frontier
from noisette_flows.display.result import mlflow_lines, show_lines, show_report
from noisette_flows.outcome import row_json, tracking_json
from noisette_flows.tracking import Store

__all__ = ["facts", "show", "verdicts"]

_LISTED = 6


def show(decided: Decided, store: Store | None, experiment: str, console: Console) -> None:
    """Print a finished comparison; `experiment` is its id in MLflow, or nothing."""
    report = decided.report
    groups = {label: str(about["model"]) for label, about in report.details["samplers"].items()}
    show_report(report, console, groups, frontier(report))
    for line in verdicts(report):
        console.print(Text(line))
    console.print()
    show_lines("charts", [str(path) for path in decided.charts.values()], console)
    show_lines("report", [str(decided.directory / "report.json")], console)
    show_lines("MLflow", mlflow_lines(store, experiment), console)


def verdicts(report: Report) -> list[str]:
    """Return for each result which row is best, which are worse by more than the error, and which may be equal."""
    lines = []
    for column in report.columns:
        pairs = [one for one in report.details["differences"] if one["column"] == column]
        if not pairs or report.better[column] not in ("lower", "higher"):
            continue
        rows = list(dict.fromkeys(label for one in pairs for label in (one["first"], one["second"])))
        values = {row.label: row.results[column].value for row in report.rows if column in row.results}
        best = (min if report.better[column] == "lower" else max)(rows, key=lambda label: values[label])
        against = {
            ({one["first"], one["second"]} - {best}).pop(): one
            for one in pairs
            if best in (one["first"], one["second"])
        }
        worse = [f"{label} (p {one['p']:.2g})" for label, one in against.items() if one["larger"]]
        alike = [label for label, one in against.items() if not one["larger"]]
        said = [f"worse by more than the error: {_some(worse)}"] if worse else []
        said += [f"not told apart from it: {_some(alike)}"] if alike else []
        lines.append(f"{short_header(column, str(report.protocol['features']))}: best {best}; {'; '.join(said)}")
    if lines:
        lines.append(f"({report.details['test']}; level {LEVEL:g})")
    return lines


def facts(decided: Decided, store: Store | None, experiment: str) -> dict[str, Any]:
    """Return a finished comparison as JSON values."""
    report = decided.report
    best = frontier(report)
    return {
        "models": report.details["models"],
        "columns": list(report.columns),
        "better": dict(report.better),
        "rows": [
            {
                **row_json(row),
                "model": report.details["samplers"].get(row.label, {}).get("model"),
                "best": [column for column in report.columns if (row.label, column) in best],
            }
            for row in report.rows
        ],
        "differences": report.details["differences"],
        "test": report.details["test"],
        "protocol": dict(report.protocol),
        "notes": list(report.notes),
        "charts": {column: str(path) for column, path in decided.charts.items()},
        "report": str(decided.directory / "report.json"),
        "tracking": tracking_json(store, experiment),
    }


def _some(labels: list[str]) -> str:
    more = len(labels) - _LISTED
    return ", ".join(labels[:_LISTED]) + (f" and {more} more" if more > 0 else "")
