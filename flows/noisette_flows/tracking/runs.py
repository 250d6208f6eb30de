"""MLflow runs of a run directory, each created once: a parent for the experiment, children for its parts."""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from noisette.storage import MANIFEST
from noisette_flows.tracking.names import metric_key
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.sync_state import RunLock, SyncState, find_killed

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

__all__ = ["DIRECTORY", "PARENT", "TRAIN", "Runs", "finish_time", "make_client", "make_metrics", "mark_killed_runs"]

PARENT, TRAIN = "parent", "train"

DIRECTORY = "noisette.directory"
"""Tag with the run directory."""

_KIND = {"mlflow.experimentKind": "custom_model_development"}  # MLflow's menu then shows models, not prompts
_PART_TAG = "noisette.part"
_MAX_OTHERS = 500  # other runs whose names are compared
_PARAMETERS_PER_REQUEST = 100  # parameters in one request
_LONGEST = 500  # characters of a parameter, which every database accepts


def make_client(store: Store) -> MlflowClient:
    """Return MLflow's client of a store; user and password are set in this process's environment.

    Raises:
        UnusableDatabaseError: if the store is a file that MLflow cannot open.
    """
    from mlflow import MlflowClient
    from mlflow.store.db import utils

    store.prepare()
    utils.MAX_RETRY_COUNT = 1  # a dead database is noticed at once; noisette itself tries again
    os.environ.update(store.login())
    return MlflowClient(store.for_client())


class Runs:
    """The MLflow runs of one run directory. There is no active run: every id is passed.

    Args:
        client: MLflow's client.
        store: its store.
        directory: the run directory.
        sync_state: what the store has already.
    """

    def __init__(self, client: MlflowClient, store: Store, directory: Path, sync_state: SyncState) -> None:
        self.client, self._store, self._directory, self.sync_state = client, store, directory, sync_state

    @classmethod
    def open(cls, experiment: str, directory: Path, store: Store) -> Runs:
        """Return the runs of a run directory in a store; the MLflow experiment is created if it does not exist."""
        runs = cls(make_client(store), store, directory, SyncState.load(directory, store))
        runs._check(experiment)
        return runs

    def _check(self, experiment: str) -> None:
        """Get or create the MLflow experiment, and forget deleted runs.

        A moved directory keeps its runs; a copied one gets new runs.
        """
        self.sync_state.experiment = self._get_or_create_experiment(experiment)
        gone = [key for key, run_id in self.sync_state.runs.items() if not self._exists(run_id)]
        if PARENT in gone:  # children need their parent
            gone = list(self.sync_state.runs)
        for key in gone:
            self.sync_state.forget(key)
        if PARENT in self.sync_state.runs:
            self._follow_directory()

    def _follow_directory(self) -> None:
        parent, directory = self.sync_state.runs[PARENT], str(self._directory.resolve())
        before = self.client.get_run(parent).data.tags.get(DIRECTORY, directory)
        if before == directory:
            return
        if SyncState.load(Path(before), self._store).runs.get(PARENT) == parent:
            self.sync_state = SyncState(store=self.sync_state.store, experiment=self.sync_state.experiment)
        else:
            self.client.set_tag(parent, DIRECTORY, directory)

    def _get_or_create_experiment(self, name: str) -> str:
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            place = self._store.artifacts(name)
            return str(self.client.create_experiment(name, artifact_location=place, tags=_KIND))
        return str(experiment.experiment_id)

    def _exists(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        same = run.info.experiment_id == self.sync_state.experiment
        return same and run.info.lifecycle_stage == "active"

    def similar_experiments(self, beginning: str, tags: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Yield the options of other experiments whose names start with `beginning`, newest first."""
        import yaml
        from mlflow.exceptions import MlflowException

        for run in self.client.search_runs([self.sync_state.experiment], max_results=_MAX_OTHERS):
            others, name = run.data.tags, run.info.run_name or ""
            if "noisette.config" not in others or others[DIRECTORY] == tags[DIRECTORY]:
                continue
            if name.startswith(beginning):
                try:
                    with TemporaryDirectory(prefix="noisette-") as folder:
                        file = self.client.download_artifacts(run.info.run_id, "config.yaml", folder)
                        options = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
                except (MlflowException, OSError, yaml.YAMLError):  # being created or removed
                    continue
                if isinstance(options, dict):
                    yield options

    def get_or_create(
        self,
        key: str,
        name: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, str],
        start: float | None = None,
    ) -> str:
        """Return the id of a run; a new one starts at `start`, in seconds since 1970."""
        if key not in self.sync_state.runs:
            family = {} if key == PARENT else {"mlflow.parentRunId": self.sync_state.runs[PARENT]}
            part = self._part_tag(key)
            all_tags = {**_source_tags(), **family, **tags, _PART_TAG: part}
            run = self._find_created(key, part) or self.client.create_run(
                self.sync_state.experiment, _milliseconds(start), all_tags, run_name=name
            )
            self.sync_state.runs[key] = str(run.info.run_id)
            self.sync_state.statuses[key] = "RUNNING"
            self.save()
        if self.is_unsent(key, "parameters"):
            self.add_parameters(key, parameters)
            self.mark_sent(key, "parameters")
        return self.sync_state.runs[key]

    def _part_tag(self, key: str) -> str:
        """Return a tag that is unique to a run."""
        self.sync_state.token = self.sync_state.token or uuid4().hex
        return f"{self.sync_state.token} {key}"

    def _find_created(self, key: str, part: str) -> Run | None:
        """Return a run that was created in an earlier attempt whose answer was lost, or None; note this attempt."""
        if key in self.sync_state.begun:
            runs = self.client.search_runs([self.sync_state.experiment], f"tags.`{_PART_TAG}` = '{part}'")
            return runs[0] if runs else None
        self.sync_state.begun.append(key)
        self.save()
        return None

    def name_of(self, key: str) -> str:
        """Return the current name of a run in MLflow."""
        return str(self.client.get_run(self.sync_state.runs[key]).info.run_name)

    def add_parameters(self, key: str, parameters: Mapping[str, Any]) -> None:
        """Log parameters of a run."""
        from mlflow.entities import Param

        run_id = self.sync_state.runs[key]
        params = [Param(key, str(value)[:_LONGEST]) for key, value in parameters.items()]
        for start in range(0, len(params), _PARAMETERS_PER_REQUEST):
            self.client.log_batch(run_id, params=params[start : start + _PARAMETERS_PER_REQUEST])

    def log_metrics(self, key: str, values: Mapping[str, float], when: float) -> None:
        """Log metrics of a run without steps; arguments as `make_metrics`."""
        self.client.log_batch(self.sync_state.runs[key], metrics=make_metrics(values, when))

    def set_status(self, key: str, status: str, end: float | None = None) -> None:
        """Set the status of a run if it changes; `end` is its end, by default now."""
        if key not in self.sync_state.runs or self.sync_state.statuses.get(key) == status:
            return
        if status == "RUNNING":
            self.client.update_run(self.sync_state.runs[key], status=status)
        else:
            self.client.set_terminated(self.sync_state.runs[key], status, end_time=_milliseconds(end))
        self.sync_state.statuses[key] = status
        self.save()

    def is_unsent(self, key: str, item: str) -> bool:
        """Return whether an item was not sent to a run yet; call `mark_sent` after sending it."""
        return f"{key}: {item}" not in self.sync_state.sent

    def mark_sent(self, key: str, item: str) -> None:
        """Note that an item was sent to a run."""
        self.sync_state.sent.append(f"{key}: {item}")
        self.save()

    def save(self) -> None:
        """Write the sync state to the run directory."""
        self.sync_state.save(self._directory)


def make_metrics(values: Mapping[str, float], when: float, step: int = 0) -> list[Metric]:
    """Return metrics under valid names, measured at `when`, in seconds since 1970."""
    from mlflow.entities import Metric

    return [Metric(metric_key(key), value, int(when * 1000), step) for key, value in values.items()]


def finish_time(directory: Path) -> float:
    """Return when a directory was finished, in seconds since 1970."""
    return (directory / MANIFEST).stat().st_mtime


def _milliseconds(seconds: float | None) -> int:
    return int((time.time() if seconds is None else seconds) * 1000)


def _source_tags() -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container without a user name
        user = "unknown"
    return {"mlflow.user": user, "mlflow.source.name": "noisette", "mlflow.source.type": "LOCAL"}


def mark_killed_runs(root: Path, store: Store) -> None:
    """Mark them as killed; one that goes on later goes on in the same MLflow run.

    Raises:
        MlflowException: or whatever else the client raises when its store does not answer.
    """
    for run in list(find_killed(root, store)):
        run_lock = RunLock.take_killed(run)
        if run_lock is None:
            continue
        try:
            _mark_run(run, store)
        finally:
            run_lock.release()


def _mark_run(run: Path, store: Store) -> None:
    from mlflow.exceptions import MlflowException

    client, sync_state = make_client(store), SyncState.load(run, store)
    for key, status in sync_state.statuses.items():
        if status != "RUNNING":
            continue
        try:
            client.set_terminated(sync_state.runs[key], "KILLED")
        except MlflowException as error:  # deleted by somebody, perhaps
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
        sync_state.statuses[key] = "KILLED"
    sync_state.save(run)


if __name__ == "__main__":
    order = json.load(sys.stdin)
    found = Store.of(order["uri"])
    if found is not None:
        mark_killed_runs(Path(order["root"]), found)
