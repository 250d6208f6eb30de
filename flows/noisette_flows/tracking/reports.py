"""Reports in MLflow: of one model's samplers, of two sets of images, and of several models."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette import Report
from noisette.comparison import Decided, Series, Swept, frontier, series_of
from noisette.evaluation.report import telling
from noisette.evaluation.significance import verdicts
from noisette.storage import MANIFEST
from noisette_flows.display.table import markdown
from noisette_flows.tracking import names
from noisette_flows.tracking.connection import Connecting
from noisette_flows.tracking.runs import PARENT, Runs
from noisette_flows.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from PIL.Image import Image

__all__ = [
    "COMPARISONS",
    "EVALUATIONS",
    "open_picture",
    "results_table",
    "send_contest",
    "send_pair",
    "send_protocol",
    "send_sweep",
    "send_table",
]


def open_picture(path: Path) -> Image:
    """Read a PNG file whole."""
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        return image.copy()


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


EVALUATIONS = "evaluations"


def send_pair(report: Report, store: Store) -> str:
    """Send a report, unless it was sent; return the id of the experiment in MLflow."""
    from mlflow.entities import Metric

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table that it makes
    connecting = Connecting(EVALUATIONS, report.directory, store)
    runs = connecting.connected()
    sides, features = report.details["sides"], str(report.protocol["features"])
    done = (report.directory / MANIFEST).stat().st_mtime
    parameters = {role: side["name"] for role, side in sides.items()}
    name = f"{sides['generated']['name']} beside {sides['reference']['name']}"
    tags = {"noisette.directory": str(report.directory.resolve()), **names.plugin_tags(report.details["plugins"])}
    parent = runs.make(PARENT, name, {**parameters, "features": features}, tags, done)
    if runs.once(PARENT, "report"):
        values = {
            key: value
            for row in report.rows
            for column, estimate in row.results.items()
            for key, value in _named(names.result_key(column, features), row.kind == "floor", *estimate)
        }
        metrics = [Metric(key, value, int(done * 1000), 0) for key, value in values.items()]
        runs.client.log_batch(parent, metrics=metrics)
        send_protocol(runs, PARENT, report)
        send_table(runs, PARENT, report, "eval")
        runs.client.log_artifact(parent, str(report.directory / "report.json"), "eval")
        runs.client.log_text(parent, markdown(report), "eval/table.md")
        runs.client.set_tag(parent, "mlflow.note.content", markdown(report))
        runs.set_status(PARENT, "FINISHED", done)
        runs.sent(PARENT, "report")
    return runs.memory.experiment


def _named(key: str, floor: bool, value: float, stderr: float | None) -> list[tuple[str, float]]:
    """Return a result and its error under the names that they have in MLflow."""
    name = names.metric_key(f"{key} floor" if floor else key)
    return [(name, value), *([(f"{name} stderr", stderr)] if stderr is not None else [])]


COMPARISONS = "comparisons"


def send_contest(decided: Decided, store: Store) -> str:
    """Send a comparison, unless it was sent; return the id of the experiment in MLflow.

    It lies in the experiment of the models if they are of one, else in `comparisons`.
    """
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table that it makes
    report = decided.report
    models: dict[str, dict[str, Any]] = report.details["models"]
    experiments = {str(about["experiment"]) for about in models.values()}
    name = experiments.pop() if len(experiments) == 1 else COMPARISONS
    runs = Connecting(name, decided.directory, store).connected()
    done = (decided.directory / MANIFEST).stat().st_mtime
    parameters = {f"model {number}": label for number, label in enumerate(models, 1)}
    tags = {"noisette.directory": str(decided.directory.resolve())}
    tags |= {f"noisette.model.{number}": about["checkpoint"] for number, about in enumerate(models.values(), 1)}
    parent = runs.make(PARENT, f"compare {', '.join(models)}"[:200], parameters, tags, done)
    if runs.once(PARENT, "report"):
        _results(runs, decided, int(done * 1000))
        text = "\n".join([markdown(report), *(f"- {line}" for line in verdicts(report))])
        send_protocol(runs, PARENT, report)
        send_table(runs, PARENT, report, "compare")
        runs.client.log_artifact(parent, str(decided.directory / "report.json"), "compare")
        runs.client.log_text(parent, text, "compare/table.md")
        runs.client.set_tag(parent, "mlflow.note.content", text)
        runs.set_status(PARENT, "FINISHED", done)
        runs.sent(PARENT, "report")
    return runs.memory.experiment


def _results(runs: Runs, decided: Decided, when: int) -> None:
    from mlflow.entities import Metric

    report, parent = decided.report, runs.memory.runs[PARENT]
    features, shown = str(report.protocol["features"]), telling(report)
    metrics = [
        Metric(names.result_key(column, features, row.label), row.results[column].value, when, 0)
        for row in report.rows
        for column in shown & row.results.keys()
    ]
    runs.client.log_batch(parent, metrics=metrics)
    for column, path in decided.charts.items():
        key = names.metric_key(f"compare/{names.result_key(column, features)}")
        runs.client.log_image(parent, open_picture(path), key=key, step=0)
        for ending in (".png", ".svg"):
            runs.client.log_artifact(parent, str(path.with_suffix(ending)), "compare")
    pairs = report.details["differences"]
    if pairs and runs.once(PARENT, "differences"):
        table = {key: [pair[key] for pair in pairs] for key in pairs[0]}
        runs.client.log_table(parent, table, "compare/differences.json")
        runs.sent(PARENT, "differences")
