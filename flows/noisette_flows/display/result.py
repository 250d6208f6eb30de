"""What a finished run shows: the table, how it was measured, where the pictures are, how to open MLflow."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from noisette import Report
from noisette_flows.display.table import caption, comparison
from noisette_flows.outcome import Outcome

__all__ = ["show", "show_report"]


def show(outcome: Outcome, console: Console) -> None:
    """Print an outcome."""
    show_report(outcome.report, console)
    width = max(len(label) for label in outcome.grids)
    for title, lines in (
        ("pictures", [f"{label:{width}}  {path}" for label, path in outcome.grids.items()]),
        ("report", [str(outcome.report.directory / "report.json")]),
        ("MLflow", _mlflow(outcome)),
    ):
        for index, line in enumerate(lines):
            _line(console, f"{title if index == 0 else '':10}{line}")


def show_report(report: Report, console: Console) -> None:
    """Print a comparison with its protocol and notes."""
    table = comparison(report)
    needed = Console(width=1000).measure(table).maximum
    console.width = max(console.width, 100, needed)  # a number that is cut is worse than a line that is wrapped
    console.print()
    console.print(table)
    console.print()
    for line in [*caption(report), *(f"note: {note}" for note in report.notes)]:
        console.print(Text(line, "dim"))
    console.print()


def _mlflow(outcome: Outcome) -> list[str]:
    store, experiment = outcome.store, outcome.mlflow_experiment
    if store is None or not experiment:
        return []
    command = store.ui_command()
    return [*([f"{command}   then open"] if command else []), store.link(experiment)]


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
