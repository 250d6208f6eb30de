"""How results were measured, beside them in MLflow: a tag for each value of the protocol; the rows as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from noisette import Report
from noisette_flows.tracking import names
from noisette_flows.tracking.runs import Runs

__all__ = ["results_table", "send_protocol", "send_table"]

_LONGEST = 4000
"""Characters of a tag; MLflow takes 5,000 to 8,000."""


def send_protocol(runs: Runs, key: str, report: Report) -> None:
    """Give a run a tag ``noisette.protocol.<name>`` for each value of a report's protocol."""
    from mlflow.entities import RunTag

    told = {name: _text(value) for name, value in report.protocol.items() if _text(value)}
    tags = [RunTag(names.metric_key(f"noisette.protocol.{name}"), text) for name, text in told.items()]
    runs.client.log_batch(runs.memory.runs[key], tags=tags)


def send_table(runs: Runs, key: str, report: Report, folder: str) -> None:
    """Log the rows of a report as a table ``<folder>/results-<report>.json``, once."""
    what = f"results {report.directory.name}"
    if runs.once(key, what):
        path = f"{folder}/results-{report.directory.name}.json"
        runs.client.log_table(runs.memory.runs[key], results_table(report), path)
        runs.sent(key, what)


def results_table(report: Report, groups: Mapping[str, str] | None = None) -> dict[str, list[Any]]:
    """Return the rows as columns, each result with its standard error.

    Args:
        report: whose rows.
        groups: another name for a row, by its label.
    """
    rows = report.rows
    table: dict[str, list[Any]] = {
        "sampler": [(groups or {}).get(row.label, row.label) for row in rows],
        "steps": [row.steps for row in rows],
        "network calls": [row.network_calls for row in rows],
        "seconds per picture": [row.seconds_per_picture for row in rows],
    }
    for column in report.columns:
        estimates = [row.results.get(column) for row in rows]
        table[column] = [None if one is None else one.value for one in estimates]
        if any(one is not None and one.stderr is not None for one in estimates):
            table[f"{column} stderr"] = [None if one is None else one.stderr for one in estimates]
    return table


def _text(value: Any) -> str:
    return str(value)[:_LONGEST]
