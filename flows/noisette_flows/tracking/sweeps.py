"""A comparison of many samplers in MLflow: its charts on the parent's page, and a curve for each sampler.

A walk is no run here: they are too many. Each sampler is a run with its results by network calls, so that MLflow
draws all samplers into one chart.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from noisette.storage import MANIFEST
from noisette.sweep import Series, Swept, frontier, series_of
from noisette_flows.display.table import markdown
from noisette_flows.tracking import names
from noisette_flows.tracking.pictures import open_picture
from noisette_flows.tracking.protocol import results_table, send_protocol
from noisette_flows.tracking.runs import PARENT, Runs

if TYPE_CHECKING:
    from mlflow.entities import Metric

__all__ = ["send_sweep"]


def send_sweep(runs: Runs, directory: Path) -> None:
    """Send a finished sweep, if it was not sent yet."""
    swept = Swept.open(directory)
    if swept is None or not runs.once(PARENT, f"sweep {directory.name}"):
        return
    for series in series_of(swept.report):
        _curves(runs, swept, series)
    parent, features = runs.memory.runs[PARENT], str(swept.report.protocol["features"])
    for column, path in swept.charts.items():
        what = f"chart {directory.name} {column}"
        if runs.once(PARENT, what):
            key = names.metric_key(f"compare/{names.result_key(column, features)}")
            runs.client.log_image(parent, open_picture(path), key=key, step=0)
            for ending in (".png", ".svg"):
                runs.client.log_artifact(parent, str(path.with_suffix(ending)), "compare")
            runs.sent(PARENT, what)
    if runs.once(PARENT, f"table {directory.name}"):
        groups = {row.label: series.label for series in series_of(swept.report) for row in series.rows}
        table = results_table(swept.report, groups)
        runs.client.log_table(parent, table, f"compare/table-{directory.name}.json")
        runs.sent(PARENT, f"table {directory.name}")
    runs.client.log_text(parent, markdown(swept.report, frontier(swept.report)), "compare/table.md")
    runs.client.log_artifact(parent, str(swept.report.directory / "report.json"), "compare")
    runs.sent(PARENT, f"sweep {directory.name}")


def _curves(runs: Runs, swept: Swept, series: Series) -> None:
    key = f"sweep {swept.directory.name} {series.label}"
    about = swept.report.details["samplers"][series.rows[0].label]
    options = {name: value for name, value in series.options.items() if name != "steps"}
    parameters = {"sampler": series.name, "count": about["count"], **options}
    done = (swept.directory / MANIFEST).stat().st_mtime
    child = runs.make(key, f"compare {series.label}", parameters, names.plugin_tags([about["plugin"]]), done)
    runs.client.log_batch(child, metrics=list(_points(swept, series, int(done * 1000))))
    send_protocol(runs, key, swept.report)
    runs.set_status(key, "FINISHED", done)


def _points(swept: Swept, series: Series, when: int) -> list[Metric]:
    """Return every result of a sampler, its step the network calls."""
    from mlflow.entities import Metric

    features = str(swept.report.protocol["features"])
    found = []
    for row in series.rows:
        values = {"seconds per picture": float(row.seconds_per_picture or 0.0)}
        for column, (value, stderr) in row.results.items():
            values[names.result_key(column, features)] = value
            if stderr is not None:
                values[f"{names.result_key(column, features)} stderr"] = stderr
        calls = row.network_calls or 0
        found += [Metric(names.metric_key(f"{key} by calls"), value, when, calls) for key, value in values.items()]
    return found
