"""A comparison of two sets of pictures in MLflow: one run of the experiment `evaluations`."""

from __future__ import annotations

import logging

from noisette import Report
from noisette.storage import MANIFEST
from noisette_flows.display.table import markdown
from noisette_flows.tracking import names
from noisette_flows.tracking.connecting import Connecting
from noisette_flows.tracking.protocol import send_protocol, send_table
from noisette_flows.tracking.runs import PARENT
from noisette_flows.tracking.store import Store

__all__ = ["EXPERIMENT", "send_pair"]

EXPERIMENT = "evaluations"


def send_pair(report: Report, store: Store) -> str:
    """Send a report, unless it was sent; return the id of the experiment in MLflow."""
    from mlflow.entities import Metric

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table that it makes
    connecting = Connecting(EXPERIMENT, report.directory, store)
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
