"""What an MLflow store shows of an experiment, to be compared."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from support.databases import copy_mlflow_database

from noisette_flows.tracking import Store

__all__ = ["empty_store", "runs_of", "snapshot_runs"]


def empty_store(path: Path) -> Store:
    """Return a store in a file as MLflow itself leaves it, whose tables take seconds to make."""
    copy_mlflow_database(path)
    return Store.in_file(path)


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
