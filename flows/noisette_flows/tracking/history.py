"""Comparisons read from MLflow, where the run directories are not at hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from noisette import NoisetteError, Report, StorageError
from noisette_flows.tracking.runs import make_client
from noisette_flows.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["StoredComparison", "TrackingError", "load_history"]

_PLACES = {"eval": "evaluation", "compare": "comparison of samplers"}


class TrackingError(NoisetteError):
    """An MLflow store that does not answer, or lacks what is asked for."""


@dataclass(frozen=True)
class StoredComparison:
    """A comparison in MLflow.

    Attributes:
        run: name of its run.
        run_id: of MLflow.
        status: of the run.
        kind: "evaluation", or "comparison of samplers".
        report: the table.
    """

    run: str
    run_id: str
    status: str
    kind: str
    report: Report


def load_history(store: Store, experiment: str) -> list[StoredComparison]:
    """Return the latest comparisons of each run of an MLflow experiment, newest run first.

    Raises:
        TrackingError: if the store does not answer, or has no such experiment; says which it has.
    """
    try:
        client = make_client(store)
        stored = client.get_experiment_by_name(experiment)
        if stored is None:
            names = ", ".join(known.name for known in client.search_experiments()) or "none"
            raise TrackingError(f"MLflow at {store.display_uri} has no experiment {experiment!r}; it has: {names}")
        runs = client.search_runs([stored.experiment_id])
        parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        return [comparison for run in parents for comparison in _read_comparisons(client, run)]
    except NoisetteError:
        raise
    except Exception as error:  # of many libraries
        reason = store.redact(str(error).partition("\n")[0])
        raise TrackingError(f"MLflow at {store.display_uri} does not answer: {reason}") from None


def _read_comparisons(client: MlflowClient, run: Run) -> Iterator[StoredComparison]:
    with TemporaryDirectory(prefix="noisette-") as folder:
        for place, kind in _PLACES.items():
            names = {file.path for file in client.list_artifacts(run.info.run_id, place)}
            if f"{place}/report.json" not in names:
                continue
            file = client.download_artifacts(run.info.run_id, f"{place}/report.json", folder)
            with suppress(StorageError):  # of another version of noisette
                report = Report.read(Path(file).parent)
                yield StoredComparison(run.info.run_name, run.info.run_id, run.info.status, kind, report)
