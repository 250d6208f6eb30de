"""Output of finished runs and comparisons: tables with their protocols, and paths of images and charts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from noisette import Report
from noisette.comparison import ComparisonResult, Sweep, SweepResult, frontier, series_of
from noisette.evaluation.report import CellKey, caption
from noisette.evaluation.significance import verdicts
from noisette.stages import Stage
from noisette_flows.display.table import comparison_table
from noisette_flows.outcome import Outcome, RunSummary, row_json, stage_json, tracking_json
from noisette_flows.tracking import Store, experiment_of

__all__ = [
    "mlflow_lines",
    "model_facts",
    "show_lines",
    "show_models",
    "show_outcome",
    "show_report",
    "show_sweep",
    "sweep_facts",
]


def show_outcome(outcome: RunSummary, console: Console) -> None:
    """Print a result: the comparison, if there is one, then the paths of all files."""
    report = outcome.report if isinstance(outcome, Outcome) else None
    grids = outcome.grids if isinstance(outcome, Outcome) else {}
    if report is not None:
        show_report(report, console)
    for note in (note for figure in outcome.figures.values() for note in figure.about["notes"]):
        console.print(Text(f"note: {note}", "dim"))
    images = [
        *grids.items(),
        *((label, path) for label, figure in outcome.figures.items() for path in figure.files),
    ]
    width = max(len(label) for label, _ in images)
    for title, lines in (
        ("images", [f"{label:{width}}  {path}" for label, path in images]),
        ("report", [str(report.directory / "report.json")] if report else []),
        ("curves", [str(report.curves_figure)] if report and report.curves_figure else []),
        ("nearest", [str(path) for path in report.neighbour_figures.values()] if report else []),
        ("MLflow", mlflow_lines(outcome.store, outcome.mlflow_experiment)),
    ):
        show_lines(title, lines, console)


def show_lines(title: str, lines: Sequence[str], console: Console) -> None:
    """Print lines in a column, with the title before the first."""
    for index, line in enumerate(lines):
        text = f"{title if index == 0 else '':10}{line}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def show_report(
    report: Report,
    console: Console,
    groups: Mapping[str, str] | None = None,
    best: Collection[CellKey] = (),
    notes: Sequence[str] = (),
) -> None:
    """Print a comparison with its protocol and notes; `groups` and `best` are as in `comparison_table`."""
    table = comparison_table(report, groups, best)
    needed = Console(width=1000).measure(table).maximum
    console.width = max(console.width, 100, needed)  # a wrapped line is better than a cut number
    console.print()
    console.print(table)
    console.print()
    marks = ["* no sampler is better with as many network calls or fewer"] if best else []
    for line in [*marks, *caption(report), *(f"note: {note}" for note in (*report.notes, *notes))]:
        console.print(Text(line, "dim"))
    console.print()


def mlflow_lines(store: Store | None, experiment: str) -> list[str]:
    """Return instructions to open an experiment's page in MLflow; empty if the page is not known yet."""
    if store is None or not experiment:
        return []
    command = store.ui_command()
    return [*([f"{command}   then open"] if command else []), store.link(experiment)]


def show_sweep(sweep: Sweep, sweep_result: SweepResult, store: Store | None, console: Console) -> None:
    """Print a finished sweep."""
    report = sweep_result.report
    show_report(report, console, _series(report), frontier(report), sweep.notes)
    _show_files(report, sweep_result.charts, mlflow_lines(store, _experiment(sweep, store)), console)


def sweep_facts(
    sweep: Sweep, sweep_result: SweepResult, skipped: Collection[str], store: Store | None
) -> dict[str, Any]:
    """Return a finished sweep as JSON values; `skipped` are the labels of samplers that had finished before."""
    walks = [
        stage_json(
            Stage(f"sample {sampler.label}", sweep.samples_path(sampler), True),
            {f"sample {label}" for label in skipped},
        )
        for sampler in sweep.experiment.sampling.samplers
    ]
    return {
        "experiment": sweep.experiment.name,
        "checkpoint": str(sweep.checkpoint.directory),
        "step": sweep.checkpoint.step,
        "walks": walks,
        **_table_facts(sweep_result.report, "series", _series(sweep_result.report)),
        "notes": [*sweep_result.report.notes, *sweep.notes],
        **_file_facts(sweep_result.report, sweep_result.charts),
        "tracking": tracking_json(store, _experiment(sweep, store)),
    }


def show_models(result: ComparisonResult, store: Store | None, experiment: str, console: Console) -> None:
    """Print a finished comparison; `experiment` is its id in MLflow, or ""."""
    report = result.report
    show_report(report, console, _models(report), frontier(report))
    for line in verdicts(report):
        console.print(Text(line))
    console.print()
    _show_files(report, result.charts, mlflow_lines(store, experiment), console)


def model_facts(result: ComparisonResult, store: Store | None, experiment: str) -> dict[str, Any]:
    """Return a finished comparison as JSON values."""
    report = result.report
    return {
        "models": report.details["models"],
        **_table_facts(report, "model", _models(report)),
        "differences": report.details["differences"],
        "test": report.details["test"],
        "notes": list(report.notes),
        **_file_facts(report, result.charts),
        "tracking": tracking_json(store, experiment),
    }


def _experiment(sweep: Sweep, store: Store | None) -> str:
    """Return the id of the MLflow experiment; "" if it is not known yet."""
    return experiment_of(sweep.run, store) if store else ""


def _series(report: Report) -> dict[str, str]:
    """Return the series of each row by its label."""
    return {row.label: series.label for series in series_of(report) for row in series.rows}


def _models(report: Report) -> dict[str, str]:
    """Return the model of each row by its label."""
    return {label: str(about["model"]) for label, about in report.details["samplers"].items()}


def _table_facts(report: Report, group: str, groups: Mapping[str, str]) -> dict[str, Any]:
    """Return the rows of a report as JSON values, with the value of `groups` by their labels as `group`."""
    best = frontier(report)
    return {
        "columns": list(report.columns),
        "better": dict(report.better),
        "rows": [
            {
                **row_json(row),
                group: groups.get(row.label),
                "best": [column for column in report.columns if (row.label, column) in best],
            }
            for row in report.rows
        ],
        "protocol": dict(report.protocol),
    }


def _file_facts(report: Report, charts: Mapping[str, Path]) -> dict[str, Any]:
    return {
        "charts": {column: str(path) for column, path in charts.items()},
        "report": str(report.directory / "report.json"),
    }


def _show_files(report: Report, charts: Mapping[str, Path], mlflow: Sequence[str], console: Console) -> None:
    show_lines("charts", [str(path) for path in charts.values()], console)
    show_lines("report", [str(report.directory / "report.json")], console)
    show_lines("MLflow", mlflow, console)
