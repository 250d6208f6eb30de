"""Results of a run: stages, report, figures and images, from manifests alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from noisette import Experiment, Report
from noisette.config import FiguresConfig
from noisette.evaluation import Row
from noisette.figures.result import FigureResult
from noisette.layout import run_directory
from noisette.stages import Stage, plan_stages
from noisette_flows.tracking import Store, experiment_of

__all__ = ["Outcome", "RunSummary", "row_json", "stage_json", "tracking_json"]


@dataclass(frozen=True)
class RunSummary:
    """The results of a config.

    Attributes:
        config: experiment, or figures alone.
        directory: its run directory.
        stages: its stages.
        skipped: names of stages that were finished before.
        store: of MLflow, or None.
    """

    config: Experiment | FiguresConfig
    directory: Path
    stages: list[Stage]
    skipped: Collection[str]
    store: Store | None

    @classmethod
    def of(
        cls, config: Experiment | FiguresConfig, root: Path, skipped: Collection[str], store: Store | None
    ) -> Self:
        """Collect the results of what is finished.

        Raises:
            StorageError: if a comparison is not complete.
        """
        return cls(config, run_directory(config, root), plan_stages(config, root), skipped, store)

    @property
    def figures(self) -> dict[str, FigureResult]:
        """The figures by their labels."""
        directories = [stage.directory for stage in self.stages if stage.name.startswith("figures ")]
        results = [FigureResult.finished(directory) for directory in directories if directory is not None]
        return {figure.label: figure for figure in results if figure is not None}

    @property
    def mlflow_experiment(self) -> str:
        """The id of the experiment in MLflow; "" if it is not known yet."""
        return experiment_of(self.directory, self.store) if self.store else ""

    def json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "experiment": self.config.name,
            "directory": str(self.directory),
            "stages": [stage_json(stage, self.skipped) for stage in self.stages],
            "figures": {label: [str(path) for path in figure.files] for label, figure in self.figures.items()},
            "notes": [note for figure in self.figures.values() for note in figure.about["notes"]],
            "tracking": tracking_json(self.store, self.mlflow_experiment),
        }


@dataclass(frozen=True)
class Outcome(RunSummary):
    """The results of an experiment, with its comparison."""

    @cached_property
    def report(self) -> Report:
        """The comparison."""
        return Report.open(self.stages[-1].directory or self.directory)

    @property
    def grids(self) -> dict[str, Path]:
        """The image grid of each sampler, by its label."""
        prefix = "sample "
        return {
            stage.name.removeprefix(prefix): stage.directory / "grid.png"
            for stage in self.stages
            if stage.name.startswith(prefix) and stage.directory is not None
        }

    def json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        values = super().json()
        return {
            **values,
            "columns": list(self.report.columns),
            "rows": [row_json(row) for row in self.report.rows],
            "model": {name: estimate._asdict() for name, estimate in self.report.model.items()},
            "protocol": dict(self.report.protocol),
            "notes": [*self.report.notes, *values["notes"]],
            "grids": {label: str(path) for label, path in self.grids.items()},
            "report": str(self.report.directory / "report.json"),
        }


def tracking_json(store: Store | None, experiment: str) -> dict[str, str] | None:
    """Return the store and page of an experiment in MLflow as JSON values; None without tracking."""
    if store is None:
        return None
    link = store.link(experiment) if experiment else ""
    return {"uri": store.display_uri, "experiment": experiment, "link": link}


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
        "seconds_per_image": row.seconds_per_image,
        "results": {
            column: {"value": estimate.value, "stderr": estimate.stderr} for column, estimate in row.results.items()
        },
    }
