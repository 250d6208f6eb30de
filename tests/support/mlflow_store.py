"""What an MLflow store shows of an experiment, to be compared."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import Run

from noisette_flows.tracking import Store
from noisette_flows.tracking.database import prepare

__all__ = ["empty_store", "runs_of", "snapshot_runs"]


def empty_store(path: Path) -> Store:
    """Return a store in a file as MLflow itself leaves it, whose tables take seconds to make."""
    shutil.copy(Path(_make_template().name) / "mlflow.db", path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("drop table noisette_store")  # which tells one store from another
    return Store.in_file(path)


@cache
def _make_template() -> TemporaryDirectory[str]:
    folder = TemporaryDirectory(prefix="mlflow-")
    prepare(Path(folder.name) / "mlflow.db")
    return folder


def runs_of(client: MlflowClient, name: str = "tiny") -> tuple[Run, dict[str, Run]]:
    """Return the parent and its children by name."""
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    everything = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in everything if "mlflow.parentRunId" not in run.data.tags]
    children = {run.info.run_name: run for run in everything if run is not parent}
    assert all(child.data.tags["mlflow.parentRunId"] == parent.info.run_id for child in children.values())
    return parent, children


_OF_A_COMMAND = ("environment.txt",)  # whoever only sends a run has not run it


def snapshot_runs(client: MlflowClient, name: str = "tiny") -> dict[str, object]:
    """Return everything that a store shows of the runs."""
    parent, children = runs_of(client, name)
    shown: dict[str, object] = {}
    for name, run in {"parent": parent, **children}.items():
        files = [file.path for file in client.list_artifacts(run.info.run_id) if file.path not in _OF_A_COMMAND]
        images = {file.path.split("+timestamp")[0] for file in client.list_artifacts(run.info.run_id, "images")}
        points = {key: len(client.get_metric_history(run.info.run_id, key)) for key in run.data.metrics}
        shown[name] = (run.info.status, run.data.params, run.data.metrics, points, sorted(files), images)
    return shown
