"""`noisette runs`: the trained runs in a folder of results, and their removal."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from noisette.errors import StorageError
from noisette.runs import TrainedRun, remove_run, trained_runs
from noisette_flows.cli.options import AsJson, Command, Output

__all__ = ["runs"]

runs = typer.Typer(help="List trained runs, or remove some.")


@runs.callback(invoke_without_command=True)
def list_runs(context: typer.Context, output: Output = "runs", json: AsJson = False) -> None:
    """List the trained runs in a folder of results: what differs, state, step, size and time; or remove some."""
    if context.invoked_subcommand is not None:
        return
    found = trained_runs(output)
    if json:
        print(jsonlib.dumps({"runs": [run.json() for run in found]}, indent=1))
    elif found:
        Console().print(_table(found))
    else:
        print(f"{output}: no trained runs")


@runs.command("remove", cls=Command)
def remove(
    names: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Names or directories of runs.", show_default=False),
    ],
    output: Output = "runs",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove runs with their checkpoints, images and reports. What MLflow has of them stays."""
    known = {run.directory.name: run for run in trained_runs(output)}
    selected = [_find_run(name, known, output) for name in names]
    for run in selected:
        print(f"{run.directory}: {run.state}, step {run.step} of {run.steps}, {_size(run.bytes)}", file=sys.stderr)
    if not yes:
        typer.confirm(f"Remove {len(selected)} of {len(known)} runs?", abort=True, err=True)
    for run in selected:
        remove_run(run.directory)
        print(f"{run.directory}: removed")


def _find_run(name: str, known: dict[str, TrainedRun], output: str) -> TrainedRun:
    found = known.get(Path(name).name)
    if found is None or ("/" in name and Path(name).resolve() != found.directory.resolve()):
        raise StorageError(f"{name}: expected a run in {output}; there is {', '.join(known) or 'none'}")
    return found


def _table(found: list[TrainedRun]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("run", "differs in", "state", "step", "size", "changed"):
        table.add_column(header, justify="right" if header in ("step", "size") else "left", overflow="fold")
    for run in found:
        steps = f"{run.step:,} of {run.steps:,}" if run.step != run.steps else f"{run.step:,}"
        table.add_row(run.directory.name, run.differs, run.state, steps, _size(run.bytes), run.changed)
    return table


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
