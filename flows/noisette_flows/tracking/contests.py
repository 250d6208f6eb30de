"""A comparison of several models in MLflow: one run with charts, the results of all rows, and pairs that differ."""

from __future__ import annotations

import logging
from typing import Any

from noisette.evaluation.text import telling
from noisette.storage import MANIFEST
from noisette.sweep import Decided
from noisette_flows.display.contest import verdicts
from noisette_flows.display.table import markdown
from noisette_flows.tracking import names
from noisette_flows.tracking.connecting import Connecting
from noisette_flows.tracking.pictures import open_picture
from noisette_flows.tracking.protocol import send_protocol, send_table
from noisette_flows.tracking.runs import PARENT, Runs
from noisette_flows.tracking.store import Store

__all__ = ["EXPERIMENT", "send_contest"]

EXPERIMENT = "comparisons"


def send_contest(decided: Decided, store: Store) -> str:
    """Send a comparison, unless it was sent; return the id of the experiment in MLflow.

    It lies in the experiment of the models if they are of one, else in `comparisons`.
    """
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table that it makes
    report = decided.report
    models: dict[str, dict[str, Any]] = report.details["models"]
    experiments = {str(about["experiment"]) for about in models.values()}
    name = experiments.pop() if len(experiments) == 1 else EXPERIMENT
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
