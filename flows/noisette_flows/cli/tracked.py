"""`noisette compare --mlflow EXPERIMENT`: the tables that MLflow keeps."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

import typer
from rich.console import Console

from noisette import ConfigError
from noisette.errors import Problem

__all__ = ["FromMlflow", "show_kept"]

FromMlflow = Annotated[
    str | None,
    typer.Option(
        "--mlflow", metavar="EXPERIMENT", help="Print the tables that MLflow keeps of it.", show_default=False
    ),
]


def show_kept(experiment: str, tracking_uri: str | None, json: bool) -> None:
    """Print the comparisons of all runs of an MLflow experiment, newest first.

    Raises:
        ConfigError: without a store; TrackingError: if it does not answer, or has nothing of the kind.
    """
    from noisette.sweep import frontier, series_of
    from noisette_flows.display.result import show_report
    from noisette_flows.outcome import row_json
    from noisette_flows.tracking import Store
    from noisette_flows.tracking.kept import TrackingError, kept

    store = Store.of(tracking_uri)
    if store is None:
        raise ConfigError("--mlflow", [Problem("", 'expected a store to read; got the tracking URI "off"')])
    found = kept(store, experiment)
    if not found:
        raise TrackingError(f"MLflow at {store.shown}: no run of {experiment} has been evaluated yet")
    if json:
        told = [
            {
                "run": one.run,
                "run_id": one.run_id,
                "status": one.status,
                "what": one.what,
                "columns": list(one.report.columns),
                "rows": [row_json(row) for row in one.report.rows],
                "protocol": dict(one.report.protocol),
            }
            for one in found
        ]
        print(jsonlib.dumps({"experiment": experiment, "store": store.shown, "tables": told}, indent=1))
        return
    console = Console()
    for one in found:
        console.print(f"{one.run}: {one.what} ({one.status.lower()})", style="bold", markup=False, highlight=False)
        if one.what == "evaluation":
            show_report(one.report, console)
        else:
            groups = {row.label: series.label for series in series_of(one.report) for row in series.rows}
            show_report(one.report, console, groups, frontier(one.report))
