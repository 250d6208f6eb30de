"""Reports in MLflow: of one model's samplers, of two sets of images, and of several models."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette import Report, Samples
from noisette.comparison import ComparisonResult, Series, SweepResult, frontier, series_of
from noisette.evaluation import Row
from noisette.evaluation.report import chart_columns
from noisette.evaluation.significance import verdicts
from noisette_flows.display.table import markdown
from noisette_flows.tracking import names
from noisette_flows.tracking.runs import PARENT, Runs, finish_time, make_metrics
from noisette_flows.tracking.store import Store

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "read_image",
    "results_table",
    "send_evaluation",
    "send_folder_evaluation",
    "send_model_comparison",
    "send_sweep",
]

_LONGEST = 4000  # characters of a tag; MLflow takes 5,000 to 8,000
_EVALUATIONS, _COMPARISONS = "evaluations", "comparisons"  # experiments for reports that belong to no single one


def read_image(path: Path) -> Image:
    """Read a PNG file whole."""
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        return image.copy()


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


def _send_protocol(runs: Runs, key: str, report: Report) -> None:
    """Give a run a tag ``noisette.protocol.<name>`` for each value of a report's protocol."""
    from mlflow.entities import RunTag

    texts = {name: str(value)[:_LONGEST] for name, value in report.protocol.items()}
    tags = [RunTag(names.metric_key(f"noisette.protocol.{name}"), text) for name, text in texts.items() if text]
    runs.client.log_batch(runs.sync_state.runs[key], tags=tags)


def _send_report(runs: Runs, report: Report, folder: str, text: str) -> None:
    """Log a report to the parent: its protocol, its rows as a table, its file, and `text` as the description."""
    parent, item = runs.sync_state.runs[PARENT], f"results {report.directory.name}"
    _send_protocol(runs, PARENT, report)
    if runs.is_unsent(PARENT, item):
        path = f"{folder}/results-{report.directory.name}.json"
        runs.client.log_table(parent, results_table(report), path)
        runs.mark_sent(PARENT, item)
    runs.client.log_artifact(parent, str(report.directory / "report.json"), folder)
    runs.client.log_text(parent, text, f"{folder}/table.md")
    runs.client.set_tag(parent, "mlflow.note.content", text)


def _send_charts(runs: Runs, directory: Path, charts: Mapping[str, Path], features: str) -> None:
    """Log the charts of a comparison, each by the column of its results, once."""
    parent = runs.sync_state.runs[PARENT]
    for column, path in charts.items():
        item = f"chart {directory.name} {column}"
        if runs.is_unsent(PARENT, item):
            key = names.metric_key(f"compare/{names.result_key(column, features)}")
            runs.client.log_image(parent, read_image(path), key=key, step=0)
            for ending in (".png", ".svg"):
                runs.client.log_artifact(parent, str(path.with_suffix(ending)), "compare")
            runs.mark_sent(PARENT, item)


def send_evaluation(runs: Runs, report: Report, samples: Sequence[Samples]) -> None:
    """Send the evaluation of a model's samplers, unless it was sent; `samples` are those that it evaluates."""
    import mlflow

    item, parent = f"evaluation {report.directory.name}", runs.sync_state.runs[PARENT]
    if not runs.is_unsent(PARENT, item):
        return
    _send_results(runs, report, {sampled.label: sampled.directory.name for sampled in samples})
    _send_best(runs, report)
    _send_curves(runs, report)
    for sampled in samples:
        row_item = f"table {sampled.directory.name}"
        if runs.is_unsent(PARENT, row_item):
            row = {"sampler": [sampled.label], "samples": [mlflow.Image(read_image(sampled.grid))]}
            runs.client.log_table(parent, row, "eval/samplers.json")
            runs.mark_sent(PARENT, row_item)
    _send_report(runs, report, "eval", markdown(report))
    for tag, text in names.plugin_tags(report.details["plugins"]).items():  # of the last evaluation
        runs.client.set_tag(parent, tag, text)
    runs.mark_sent(PARENT, item)


def _send_results(runs: Runs, report: Report, children: Mapping[str, str]) -> None:
    """Log the results to the parent and to the run of each sampler; `children` are their keys by label."""
    features, when = str(report.protocol["features"]), finish_time(report.directory)
    values: dict[str, float] = {}
    for row in report.rows:
        for column in chart_columns(report) & row.results.keys():
            values[names.result_key(column, features, row.label)] = row.results[column].value
        child = children.get(row.label, "")
        if row.kind == "sampler" and child in runs.sync_state.runs:
            runs.log_metrics(child, _row_results(row, features), when)
            _send_protocol(runs, child, report)
    values |= {f"model/{name}": found.value for name, found in report.model.items()}
    runs.log_metrics(PARENT, values, when)


def _row_results(row: Row, features: str, suffix: str = "") -> dict[str, float]:
    """Return the results of a row, with their standard errors, by their names in MLflow."""
    results: dict[str, float] = {}
    for column, (value, stderr) in row.results.items():
        key = names.result_key(column, features) + suffix
        results[key] = value
        if stderr is not None:
            results[f"{key} stderr"] = stderr
    return results


def _send_best(runs: Runs, report: Report) -> None:
    """Log the best value of each result as ``best/<result>``; tag ``best_sampler`` by the first result."""
    features, best = str(report.protocol["features"]), _best_rows(report)
    values = {
        f"best/{names.result_key(column, features)}": row.results[column].value for column, row in best.items()
    }
    runs.log_metrics(PARENT, values, finish_time(report.directory))
    if best:
        runs.client.set_tag(runs.sync_state.runs[PARENT], "best_sampler", next(iter(best.values())).label)


def _best_rows(report: Report) -> dict[str, Row]:
    """Return the row of the best sampler by column, for results with a better direction."""
    best_rows: dict[str, Row] = {}
    for column in [column for column in report.columns if column in chart_columns(report)]:
        rows = [row for row in report.rows if row.kind == "sampler" and column in row.results]
        choose = {"lower": min, "higher": max}.get(report.better[column])
        if rows and choose is not None:
            best_rows[column] = choose(rows, key=lambda row, column=column: row.results[column].value)  # type: ignore[misc]
    return best_rows


def _send_curves(runs: Runs, report: Report) -> None:
    """Send the model's curves, as charts and as an image, and the figures of nearest images."""
    parent, when = runs.sync_state.runs[PARENT], finish_time(report.directory)
    for name, curve in report.curves.items():
        points = [
            metric for x, found in curve for metric in make_metrics({f"model/{name}": found.value}, when, int(x))
        ]
        runs.client.log_batch(parent, metrics=points)
    if report.curves_figure is not None:
        runs.client.log_artifact(parent, str(report.curves_figure), "eval")
    for path in report.neighbour_figures.values():
        runs.client.log_artifact(parent, str(path), "eval/nearest")


def send_sweep(runs: Runs, directory: Path) -> None:
    """Send a finished sweep, unless it was sent."""
    sweep_result = SweepResult.open(directory)
    if sweep_result is None or not runs.is_unsent(PARENT, f"sweep {directory.name}"):
        return
    report, parent = sweep_result.report, runs.sync_state.runs[PARENT]
    for series in series_of(report):
        _send_series(runs, sweep_result, series)
    _send_charts(runs, directory, sweep_result.charts, str(report.protocol["features"]))
    if runs.is_unsent(PARENT, f"table {directory.name}"):
        groups = {row.label: series.label for series in series_of(report) for row in series.rows}
        runs.client.log_table(parent, results_table(report, groups), f"compare/table-{directory.name}.json")
        runs.mark_sent(PARENT, f"table {directory.name}")
    runs.client.log_text(parent, markdown(report, frontier(report)), "compare/table.md")
    runs.client.log_artifact(parent, str(report.directory / "report.json"), "compare")
    runs.mark_sent(PARENT, f"sweep {directory.name}")


def _send_series(runs: Runs, sweep_result: SweepResult, series: Series) -> None:
    """Log every result of a sampler to a run of its own; the step is the network calls."""
    report, key = sweep_result.report, f"sweep {sweep_result.directory.name} {series.label}"
    about = report.details["samplers"][series.rows[0].label]
    options = {name: value for name, value in series.options.items() if name != "steps"}
    parameters = {"sampler": series.name, "num_images": about["count"], **options}
    done, features = finish_time(sweep_result.directory), str(report.protocol["features"])
    tags = names.plugin_tags([about["plugin"]])
    child = runs.get_or_create(key, f"compare {series.label}", parameters, tags, done)
    metrics = []
    for row in series.rows:
        values = {"seconds per image": float(row.seconds_per_image or 0.0), **_row_results(row, features)}
        by_calls = {f"{name} by calls": value for name, value in values.items()}
        metrics += make_metrics(by_calls, done, row.network_calls or 0)
    runs.client.log_batch(child, metrics=metrics)
    _send_protocol(runs, key, report)
    runs.set_status(key, "FINISHED", done)


def send_folder_evaluation(report: Report, store: Store) -> str:
    """Send the report of two sets of images, unless it was sent; return the id of the experiment in MLflow."""
    runs = _open_runs(_EVALUATIONS, report.directory, store)
    sides, features = report.details["sides"], str(report.protocol["features"])
    done = finish_time(report.directory)
    parameters = {role: side["name"] for role, side in sides.items()}
    name = f"{sides['generated']['name']} beside {sides['reference']['name']}"
    tags = {"noisette.directory": str(report.directory.resolve()), **names.plugin_tags(report.details["plugins"])}
    runs.get_or_create(PARENT, name, {**parameters, "features": features}, tags, done)
    if runs.is_unsent(PARENT, "report"):
        for row in report.rows:
            results = _row_results(row, features, " floor" if row.kind == "floor" else "")
            runs.log_metrics(PARENT, results, done)
        _send_report(runs, report, "eval", markdown(report))
        runs.set_status(PARENT, "FINISHED", done)
        runs.mark_sent(PARENT, "report")
    return runs.sync_state.experiment


def send_model_comparison(result: ComparisonResult, store: Store) -> str:
    """Send a comparison, unless it was sent; return the id of the experiment in MLflow.

    It lies in the experiment of the models if they are of one, else in `comparisons`.
    """
    report = result.report
    models: dict[str, dict[str, Any]] = report.details["models"]
    experiments = {str(about["experiment"]) for about in models.values()}
    name = experiments.pop() if len(experiments) == 1 else _COMPARISONS
    runs, done = _open_runs(name, result.directory, store), finish_time(result.directory)
    parameters = {f"model {number}": label for number, label in enumerate(models, 1)}
    tags = {"noisette.directory": str(result.directory.resolve())}
    tags |= {f"noisette.model.{number}": about["checkpoint"] for number, about in enumerate(models.values(), 1)}
    runs.get_or_create(PARENT, f"compare {', '.join(models)}"[:200], parameters, tags, done)
    if runs.is_unsent(PARENT, "report"):
        _send_comparison_results(runs, result, done)
        _send_report(
            runs, report, "compare", "\n".join([markdown(report), *(f"- {it}" for it in verdicts(report))])
        )
        runs.set_status(PARENT, "FINISHED", done)
        runs.mark_sent(PARENT, "report")
    return runs.sync_state.experiment


def _send_comparison_results(runs: Runs, result: ComparisonResult, when: float) -> None:
    report, features = result.report, str(result.report.protocol["features"])
    values = {
        names.result_key(column, features, row.label): row.results[column].value
        for row in report.rows
        for column in chart_columns(report) & row.results.keys()
    }
    runs.log_metrics(PARENT, values, when)
    _send_charts(runs, result.directory, result.charts, features)
    pairs = report.details["differences"]
    if pairs and runs.is_unsent(PARENT, "differences"):
        table = {key: [pair[key] for pair in pairs] for key in pairs[0]}
        runs.client.log_table(runs.sync_state.runs[PARENT], table, "compare/differences.json")
        runs.mark_sent(PARENT, "differences")


def _open_runs(name: str, directory: Path, store: Store) -> Runs:
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it logs every table that it makes
    return Runs.open(name, directory, store)
