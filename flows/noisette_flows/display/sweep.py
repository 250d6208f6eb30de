"""What a comparison of samplers shows: the table by sampler, the charts, how to open MLflow."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rich.console import Console

from noisette.stages import Stage
from noisette.sweep import Sweep, Swept, frontier, series_of
from noisette_flows.display.result import mlflow_lines, show_lines, show_report
from noisette_flows.outcome import row_json, stage_json, tracking_json
from noisette_flows.tracking import Store, experiment_of

__all__ = ["facts", "show"]


def show(sweep: Sweep, swept: Swept, store: Store | None, console: Console) -> None:
    """Print a finished sweep."""
    groups = {row.label: series.label for series in series_of(swept.report) for row in series.rows}
    show_report(swept.report, console, groups, frontier(swept.report), sweep.notes)
    show_lines("charts", [str(path) for path in swept.charts.values()], console)
    show_lines("report", [str(swept.report.directory / "report.json")], console)
    show_lines("MLflow", mlflow_lines(store, _experiment(sweep, store)), console)


def facts(sweep: Sweep, swept: Swept, skipped: Collection[str], store: Store | None) -> dict[str, Any]:
    """Return a finished sweep as JSON values; `skipped` are the labels of the walks that were drawn before."""
    groups = {row.label: series.label for series in series_of(swept.report) for row in series.rows}
    best = frontier(swept.report)
    walks = [
        stage_json(
            Stage(f"sample {sampler.label}", sweep.place_of(sampler), True),
            {f"sample {label}" for label in skipped},
        )
        for sampler in sweep.experiment.sampling.samplers
    ]
    return {
        "experiment": sweep.experiment.name,
        "checkpoint": str(sweep.checkpoint.directory),
        "step": sweep.checkpoint.step,
        "walks": walks,
        "columns": list(swept.report.columns),
        "better": dict(swept.report.better),
        "rows": [
            {
                **row_json(row),
                "series": groups.get(row.label),
                "best": [column for column in swept.report.columns if (row.label, column) in best],
            }
            for row in swept.report.rows
        ],
        "protocol": dict(swept.report.protocol),
        "notes": [*swept.report.notes, *sweep.notes],
        "charts": {column: str(path) for column, path in swept.charts.items()},
        "report": str(swept.report.directory / "report.json"),
        "tracking": tracking_json(store, _experiment(sweep, store)),
    }


def _experiment(sweep: Sweep, store: Store | None) -> str:
    """Return the id of the experiment in MLflow; empty while it is not known."""
    return experiment_of(sweep.run, store) if store else ""
