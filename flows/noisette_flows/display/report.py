"""Output of finished runs and comparisons: tables with their protocols, and paths of images and charts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
    groups = {row.label: series.label for series in series_of(sweep_result.report) for row in series.rows}
    show_report(sweep_result.report, console, groups, frontier(sweep_result.report), sweep.notes)
    show_lines("charts", [str(path) for path in sweep_result.charts.values()], console)
    show_lines("report", [str(sweep_result.report.directory / "report.json")], console)
    show_lines("MLflow", mlflow_lines(store, _experiment(sweep, store)), console)


def sweep_facts(
    sweep: Sweep, sweep_result: SweepResult, skipped: Collection[str], store: Store | None
) -> dict[str, Any]:
    """Return a finished sweep as JSON values; `skipped` are the labels of samplers that had finished before."""
    groups = {row.label: series.label for series in series_of(sweep_result.report) for row in series.rows}
    best = frontier(sweep_result.report)
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
        "columns": list(sweep_result.report.columns),
        "better": dict(sweep_result.report.better),
        "rows": [
            {
                **row_json(row),
                "series": groups.get(row.label),
                "best": [column for column in sweep_result.report.columns if (row.label, column) in best],
            }
            for row in sweep_result.report.rows
        ],
        "protocol": dict(sweep_result.report.protocol),
        "notes": [*sweep_result.report.notes, *sweep.notes],
        "charts": {column: str(path) for column, path in sweep_result.charts.items()},
        "report": str(sweep_result.report.directory / "report.json"),
        "tracking": tracking_json(store, _experiment(sweep, store)),
    }


def _experiment(sweep: Sweep, store: Store | None) -> str:
    """Return the id of the MLflow experiment; "" if it is not known yet."""
    return experiment_of(sweep.run, store) if store else ""


def show_models(result: ComparisonResult, store: Store | None, experiment: str, console: Console) -> None:
    """Print a finished comparison; `experiment` is its id in MLflow, or ""."""
    report = result.report
    groups = {label: str(about["model"]) for label, about in report.details["samplers"].items()}
    show_report(report, console, groups, frontier(report))
    for line in verdicts(report):
        console.print(Text(line))
    console.print()
    show_lines("charts", [str(path) for path in result.charts.values()], console)
    show_lines("report", [str(result.directory / "report.json")], console)
    show_lines("MLflow", mlflow_lines(store, experiment), console)


def model_facts(result: ComparisonResult, store: Store | None, experiment: str) -> dict[str, Any]:
    """Return a finished comparison as JSON values."""
    report = result.report
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
        "charts": {column: str(path) for column, path in result.charts.items()},
        "report": str(result.directory / "report.json"),
        "tracking": tracking_json(store, experiment),
    }
