"""Reports in MLflow: of one model's samplers, of two sets of images, and of several models."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette import Report
from noisette.comparison import ComparisonResult, Series, SweepResult, frontier, series_of
from noisette.evaluation.report import chart_columns
from noisette.evaluation.significance import verdicts
from noisette.storage import MANIFEST
from noisette_flows.display.table import markdown
from noisette_flows.tracking import names
from noisette_flows.tracking.connection import MlflowRunDir
from noisette_flows.tracking.runs import PARENT, Runs
from noisette_flows.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from PIL.Image import Image

__all__ = [
    "COMPARISONS",
    "EVALUATIONS",
    "read_image",
    "results_table",
    "send_evaluation",
    "send_model_comparison",
    "send_protocol",
    "send_sweep",
    "send_table",
]


def read_image(path: Path) -> Image:
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

    texts = {name: _tag_text(value) for name, value in report.protocol.items() if _tag_text(value)}
    tags = [RunTag(names.metric_key(f"noisette.protocol.{name}"), text) for name, text in texts.items()]
    runs.client.log_batch(runs.sync_state.runs[key], tags=tags)


def send_table(runs: Runs, key: str, report: Report, folder: str) -> None:
    """Log the rows of a report as a table ``<folder>/results-<report>.json``, once."""
    what = f"results {report.directory.name}"
    if runs.is_unsent(key, what):
        path = f"{folder}/results-{report.directory.name}.json"
        runs.client.log_table(runs.sync_state.runs[key], results_table(report), path)
        runs.mark_sent(key, what)


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
        "seconds per image": [row.seconds_per_image for row in rows],
    }
    for column in report.columns:
        estimates = [row.results.get(column) for row in rows]
        table[column] = [None if one is None else one.value for one in estimates]
        if any(one is not None and one.stderr is not None for one in estimates):
            table[f"{column} stderr"] = [None if one is None else one.stderr for one in estimates]
    return table


def _tag_text(value: Any) -> str:
    return str(value)[:_LONGEST]


def send_sweep(runs: Runs, directory: Path) -> None:
    """Send a finished sweep, if it was not sent yet."""
    sweep_result = SweepResult.open(directory)
    if sweep_result is None or not runs.is_unsent(PARENT, f"sweep {directory.name}"):
        return
    for series in series_of(sweep_result.report):
        _send_series(runs, sweep_result, series)
    parent, features = runs.sync_state.runs[PARENT], str(sweep_result.report.protocol["features"])
    for column, path in sweep_result.charts.items():
        what = f"chart {directory.name} {column}"
        if runs.is_unsent(PARENT, what):
            key = names.metric_key(f"compare/{names.result_key(column, features)}")
            runs.client.log_image(parent, read_image(path), key=key, step=0)
            for ending in (".png", ".svg"):
                runs.client.log_artifact(parent, str(path.with_suffix(ending)), "compare")
            runs.mark_sent(PARENT, what)
    if runs.is_unsent(PARENT, f"table {directory.name}"):
        groups = {row.label: series.label for series in series_of(sweep_result.report) for row in series.rows}
        table = results_table(sweep_result.report, groups)
        runs.client.log_table(parent, table, f"compare/table-{directory.name}.json")
        runs.mark_sent(PARENT, f"table {directory.name}")
    runs.client.log_text(parent, markdown(sweep_result.report, frontier(sweep_result.report)), "compare/table.md")
    runs.client.log_artifact(parent, str(sweep_result.report.directory / "report.json"), "compare")
    runs.mark_sent(PARENT, f"sweep {directory.name}")


def _send_series(runs: Runs, sweep_result: SweepResult, series: Series) -> None:
    key = f"sweep {sweep_result.directory.name} {series.label}"
    about = sweep_result.report.details["samplers"][series.rows[0].label]
    options = {name: value for name, value in series.options.items() if name != "steps"}
    parameters = {"sampler": series.name, "count": about["count"], **options}
    done = (sweep_result.directory / MANIFEST).stat().st_mtime
    child = runs.get_or_create(
        key, f"compare {series.label}", parameters, names.plugin_tags([about["plugin"]]), done
    )
    runs.client.log_batch(child, metrics=list(_series_metrics(sweep_result, series, int(done * 1000))))
    send_protocol(runs, key, sweep_result.report)
    runs.set_status(key, "FINISHED", done)


def _series_metrics(sweep_result: SweepResult, series: Series, when: int) -> list[Metric]:
    """Return every result of a sampler, its step the network calls."""
    from mlflow.entities import Metric

    features = str(sweep_result.report.protocol["features"])
    found = []
    for row in series.rows:
        values = {"seconds per image": float(row.seconds_per_image or 0.0)}
        for column, (value, stderr) in row.results.items():
            values[names.result_key(column, features)] = value
            if stderr is not None:
                values[f"{names.result_key(column, features)} stderr"] = stderr
        calls = row.network_calls or 0
        found += [Metric(names.metric_key(f"{key} by calls"), value, when, calls) for key, value in values.items()]
    return found


EVALUATIONS = "evaluations"


def send_evaluation(report: Report, store: Store) -> str:
    """Send a report, unless it was sent; return the id of the experiment in MLflow."""
    from mlflow.entities import Metric

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table that it makes
    run_dir = MlflowRunDir(EVALUATIONS, report.directory, store)
    runs = run_dir.connect()
    sides, features = report.details["sides"], str(report.protocol["features"])
    done = (report.directory / MANIFEST).stat().st_mtime
    parameters = {role: side["name"] for role, side in sides.items()}
    name = f"{sides['generated']['name']} beside {sides['reference']['name']}"
    tags = {"noisette.directory": str(report.directory.resolve()), **names.plugin_tags(report.details["plugins"])}
    parent = runs.get_or_create(PARENT, name, {**parameters, "features": features}, tags, done)
    if runs.is_unsent(PARENT, "report"):
        values = {
            key: value
            for row in report.rows
            for column, estimate in row.results.items()
            for key, value in _metric_items(names.result_key(column, features), row.kind == "floor", *estimate)
        }
        metrics = [Metric(key, value, int(done * 1000), 0) for key, value in values.items()]
        runs.client.log_batch(parent, metrics=metrics)
        send_protocol(runs, PARENT, report)
        send_table(runs, PARENT, report, "eval")
        runs.client.log_artifact(parent, str(report.directory / "report.json"), "eval")
        runs.client.log_text(parent, markdown(report), "eval/table.md")
        runs.client.set_tag(parent, "mlflow.note.content", markdown(report))
        runs.set_status(PARENT, "FINISHED", done)
        runs.mark_sent(PARENT, "report")
    return runs.sync_state.experiment


def _metric_items(key: str, floor: bool, value: float, stderr: float | None) -> list[tuple[str, float]]:
    """Return a result and its error under the names that they have in MLflow."""
    name = names.metric_key(f"{key} floor" if floor else key)
    return [(name, value), *([(f"{name} stderr", stderr)] if stderr is not None else [])]


COMPARISONS = "comparisons"


def send_model_comparison(result: ComparisonResult, store: Store) -> str:
    """Send a comparison, unless it was sent; return the id of the experiment in MLflow.

    It lies in the experiment of the models if they are of one, else in `comparisons`.
    """
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table that it makes
    report = result.report
    models: dict[str, dict[str, Any]] = report.details["models"]
    experiments = {str(about["experiment"]) for about in models.values()}
    name = experiments.pop() if len(experiments) == 1 else COMPARISONS
    runs = MlflowRunDir(name, result.directory, store).connect()
    done = (result.directory / MANIFEST).stat().st_mtime
    parameters = {f"model {number}": label for number, label in enumerate(models, 1)}
    tags = {"noisette.directory": str(result.directory.resolve())}
    tags |= {f"noisette.model.{number}": about["checkpoint"] for number, about in enumerate(models.values(), 1)}
    parent = runs.get_or_create(PARENT, f"compare {', '.join(models)}"[:200], parameters, tags, done)
    if runs.is_unsent(PARENT, "report"):
        _send_results(runs, result, int(done * 1000))
        text = "\n".join([markdown(report), *(f"- {line}" for line in verdicts(report))])
        send_protocol(runs, PARENT, report)
        send_table(runs, PARENT, report, "compare")
        runs.client.log_artifact(parent, str(result.directory / "report.json"), "compare")
        runs.client.log_text(parent, text, "compare/table.md")
        runs.client.set_tag(parent, "mlflow.note.content", text)
        runs.set_status(PARENT, "FINISHED", done)
        runs.mark_sent(PARENT, "report")
    return runs.sync_state.experiment


def _send_results(runs: Runs, result: ComparisonResult, when: int) -> None:
    from mlflow.entities import Metric

    report, parent = result.report, runs.sync_state.runs[PARENT]
    features, compared = str(report.protocol["features"]), chart_columns(report)
    metrics = [
        Metric(names.result_key(column, features, row.label), row.results[column].value, when, 0)
        for row in report.rows
        for column in compared & row.results.keys()
    ]
    runs.client.log_batch(parent, metrics=metrics)
    for column, path in result.charts.items():
        key = names.metric_key(f"compare/{names.result_key(column, features)}")
        runs.client.log_image(parent, read_image(path), key=key, step=0)
        for ending in (".png", ".svg"):
            runs.client.log_artifact(parent, str(path.with_suffix(ending)), "compare")
    pairs = report.details["differences"]
    if pairs and runs.is_unsent(PARENT, "differences"):
        table = {key: [pair[key] for pair in pairs] for key in pairs[0]}
        runs.client.log_table(parent, table, "compare/differences.json")
        runs.mark_sent(PARENT, "differences")
