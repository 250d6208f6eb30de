"""What a finished run shows: the table, how it was measured, where the pictures are, how to open MLflow."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from rich.console import Console
from rich.text import Text

from noisette import Report
from noisette.evaluation.text import Mark, caption
from noisette_flows.display.table import comparison
from noisette_flows.outcome import Outcome, Scenes
from noisette_flows.tracking import Store

__all__ = ["mlflow_lines", "show", "show_lines", "show_report"]


def show(outcome: Scenes, console: Console) -> None:
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
