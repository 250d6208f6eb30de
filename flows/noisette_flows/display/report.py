"""What finished runs and comparisons show: tables, how they were measured, where images and charts are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from noisette import Report
from noisette.comparison import Decided, Sweep, Swept, frontier, series_of
from noisette.evaluation.report import Mark, caption
from noisette.evaluation.significance import verdicts
from noisette.stages import Stage
from noisette_flows.display.table import comparison
from noisette_flows.outcome import Outcome, Scenes, row_json, stage_json, tracking_json
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


def show_outcome(outcome: Scenes, console: Console) -> None:
    """Print an outcome: the comparison, if there is one, then where everything lies."""
    report = outcome.report if isinstance(outcome, Outcome) else None
    grids = outcome.grids if isinstance(outcome, Outcome) else {}
    if report is not None:
        show_report(report, console)
    for note in (note for shown in outcome.made.values() for note in shown.about["notes"]):
        console.print(Text(f"note: {note}", "dim"))
    pictures = [*grids.items(), *((label, path) for label, shown in outcome.made.items() for path in shown.files)]
    width = max(len(label) for label, _ in pictures)
    for title, lines in (
        ("pictures", [f"{label:{width}}  {path}" for label, path in pictures]),
        ("report", [str(report.directory / "report.json")] if report else []),
        ("curves", [str(report.picture_of_curves)] if report and report.picture_of_curves else []),
        ("nearest", [str(path) for path in report.pictures_of_neighbours.values()] if report else []),
        ("MLflow", mlflow_lines(outcome.store, outcome.mlflow_experiment)),
    ):
        show_lines(title, lines, console)


def show_lines(title: str, lines: Sequence[str], console: Console) -> None:
    """Print lines under one another, the title before the first."""
    for index, line in enumerate(lines):
        text = f"{title if index == 0 else '':10}{line}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def show_report(
    report: Report,
    console: Console,
    groups: Mapping[str, str] | None = None,
    best: Collection[Mark] = (),
    notes: Sequence[str] = (),
) -> None:
    """Print a comparison with its protocol and notes; groups and marks as `comparison` takes them."""
    table = comparison(report, groups, best)
    needed = Console(width=1000).measure(table).maximum
    console.width = max(console.width, 100, needed)  # a number that is cut is worse than a line that is wrapped
    console.print()
    console.print(table)
    console.print()
    marks = ["* no sampler is better with as many network calls or fewer"] if best else []
    for line in [*marks, *caption(report), *(f"note: {note}" for note in (*report.notes, *notes))]:
        console.print(Text(line, "dim"))
    console.print()


def mlflow_lines(store: Store | None, experiment: str) -> list[str]:
    """Return how to open an experiment's page in MLflow; nothing while it is not known."""
    if store is None or not experiment:
        return []
    command = store.ui_command()
    return [*([f"{command}   then open"] if command else []), store.link(experiment)]


def show_sweep(sweep: Sweep, swept: Swept, store: Store | None, console: Console) -> None:
    """Print a finished sweep."""
    groups = {row.label: series.label for series in series_of(swept.report) for row in series.rows}
    show_report(swept.report, console, groups, frontier(swept.report), sweep.notes)
    show_lines("charts", [str(path) for path in swept.charts.values()], console)
    show_lines("report", [str(swept.report.directory / "report.json")], console)
    show_lines("MLflow", mlflow_lines(store, _experiment(sweep, store)), console)


def sweep_facts(sweep: Sweep, swept: Swept, skipped: Collection[str], store: Store | None) -> dict[str, Any]:
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


def show_models(decided: Decided, store: Store | None, experiment: str, console: Console) -> None:
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


def model_facts(decided: Decided, store: Store | None, experiment: str) -> dict[str, Any]:
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
