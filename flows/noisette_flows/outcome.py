"""What a run of an experiment gave: its stages, report and pictures, from manifests alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisette import Experiment, Report
from noisette.evaluation import Row
from noisette.layout import training_directory
from noisette.stages import Stage, plan
from noisette_flows.tracking import Memory, Store

__all__ = ["Outcome", "row_json", "stage_json", "tracking_json"]


@dataclass(frozen=True)
class Outcome:
    """The finished results of one experiment.

    Attributes:
        experiment: what was run.
        directory: its run directory.
        stages: its stages.
        skipped: names of those that were finished before.
        report: the comparison.
        store: where MLflow shows it, or None.
    """

    experiment: Experiment
    directory: Path
    stages: list[Stage]
    skipped: Collection[str]
    report: Report
    store: Store | None

    @classmethod
    def of(cls, experiment: Experiment, root: Path, skipped: Collection[str], store: Store | None) -> Outcome:
        """Collect the results of a finished experiment.

        Raises:
            StorageError: if its report is not complete.
        """
        stages = plan(experiment, root)
        report = Report.open(stages[-1].directory or root)
        return cls(experiment, training_directory(experiment, root), stages, skipped, report, store)

    @property
    def grids(self) -> dict[str, Path]:
        """The picture grid of each sampler, by its label."""
        prefix = "sample "
        return {
            stage.name.removeprefix(prefix): stage.directory / "grid.png"
            for stage in self.stages
            if stage.name.startswith(prefix) and stage.directory is not None
        }

    @property
    def mlflow_experiment(self) -> str:
        """The id of the experiment in MLflow; empty while it is not known."""
        return Memory.load(self.directory, self.store).experiment if self.store else ""

    def json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "experiment": self.experiment.name,
            "directory": str(self.directory),
            "stages": [stage_json(stage, self.skipped) for stage in self.stages],
            "columns": list(self.report.columns),
            "rows": [row_json(row) for row in self.report.rows],
            "model": {name: found._asdict() for name, found in self.report.model.items()},
            "protocol": dict(self.report.protocol),
            "notes": list(self.report.notes),
            "grids": {label: str(path) for label, path in self.grids.items()},
            "report": str(self.report.directory / "report.json"),
            "tracking": tracking_json(self.store, self.mlflow_experiment),
        }


def tracking_json(store: Store | None, experiment: str) -> dict[str, str] | None:
    """Return where MLflow shows an experiment as JSON values; None without tracking."""
    if store is None:
        return None
    link = store.link(experiment) if experiment else ""
    return {"uri": store.shown, "experiment": experiment, "link": link}


def stage_json(stage: Stage, skipped: Collection[str]) -> dict[str, Any]:
    """Return a stage as JSON values; its status is "skipped", "finished" or "open"."""
    status = "skipped" if stage.name in skipped else "finished" if stage.finished else "open"
    directory = None if stage.directory is None else str(stage.directory)
    return {"name": stage.name, "directory": directory, "status": status}


def row_json(row: Row) -> dict[str, Any]:
    """Return a row of a report as JSON values."""
    return {
        "kind": row.kind,
        "label": row.label,
        "steps": row.steps,
        "network_calls": row.network_calls,
        "seconds_per_picture": row.seconds_per_picture,
        "results": {
            column: {"value": estimate.value, "stderr": estimate.stderr} for column, estimate in row.results.items()
        },
    }
