"""The best sampler of a report, logged to the run of its model for sorting lists of runs."""

from __future__ import annotations

from noisette import Report
from noisette.evaluation import Row
from noisette.evaluation.report import chart_columns
from noisette.storage import MANIFEST
from noisette_flows.tracking import names
from noisette_flows.tracking.runs import PARENT, Runs

__all__ = ["send_best"]


def send_best(runs: Runs, report: Report) -> None:
    """Log the best value of each result as ``best/<result>``; tag ``best_sampler`` by the first result."""
    from mlflow.entities import Metric

    features, best_rows = str(report.protocol["features"]), _best_rows(report)
    when, parent = int((report.directory / MANIFEST).stat().st_mtime * 1000), runs.sync_state.runs[PARENT]
    metrics = [
        Metric(names.metric_key(f"best/{names.result_key(column, features)}"), row.results[column].value, when, 0)
        for column, row in best_rows.items()
    ]
    runs.client.log_batch(parent, metrics=metrics)
    if best_rows:
        runs.client.set_tag(parent, "best_sampler", next(iter(best_rows.values())).label)


def _best_rows(report: Report) -> dict[str, Row]:
    """Return the row of the best sampler by column, for results with a better direction."""
    best_rows: dict[str, Row] = {}
    for column in [column for column in report.columns if column in chart_columns(report)]:
        rows = [row for row in report.rows if row.kind == "sampler" and column in row.results]
        choose = {"lower": min, "higher": max}.get(report.better[column])
        if rows and choose is not None:
            best_rows[column] = choose(rows, key=lambda row, column=column: row.results[column].value)  # type: ignore[misc]
    return best_rows
