"""Several trained models side by side: checkpoints, runs or configs, each with its samplers, judged alike.

    <root>/comparisons/<key>/      report.json with the rows of all, and the charts

Each model is a `Sweep` of its own, whose images and numbers lie in its run directory. They are compared only if
they are judged over the same features by the same real images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette.comparison.chart import chart_columns
from noisette.comparison.names import distinct_names
from noisette.comparison.reports import join_reports
from noisette.comparison.samplers import DEFAULT_STEPS
from noisette.comparison.sweep import Sweep, compare
from noisette.config import Experiment
from noisette.data.prepared import Prepared
from noisette.errors import DataError
from noisette.evaluation.report import Report
from noisette.evaluation.significance import differences
from noisette.layout import data_directory
from noisette.storage import committed, digest, is_complete, read_manifest

if TYPE_CHECKING:
    from noisette.events import Events

__all__ = ["ComparisonResult", "ModelComparison", "compare_models"]

KIND = "comparison"
_VERSION = 1


@dataclass(frozen=True)
class ComparisonResult:
    """A finished comparison of several models.

    Attributes:
        directory: holds `report.json`, and a PNG and an SVG for each chart.
        report: the floor, every model's rows, and noise; `details["differences"]` says which rows differ.
        charts: the PNG file of each column that has one.
    """

    directory: Path
    report: Report
    charts: dict[str, Path]


@dataclass(frozen=True)
class ModelComparison:
    """Several trained models, and how each is drawn from.

    Attributes:
        sweeps: a sweep for each model, by the model's name.
        sweep_arguments: the arguments of `Sweep.of` for each of them, as JSON values.
        root: folder of the comparison.
    """

    sweeps: dict[str, Sweep]
    sweep_arguments: tuple[dict[str, Any], ...]
    root: Path

    @classmethod
    def of(
        cls,
        places: Sequence[Path | str],
        samplers: Sequence[Any] = (),
        steps: Sequence[int] = (),
        *,
        count: int = 500,
        features: Any = None,
        metrics: Sequence[Any] = (),
        overrides: Sequence[str] | Mapping[str, Any] = (),
        output: Path | str | None = None,
    ) -> ModelComparison:
        """Return the comparison of several trained models.

        Args:
            places: what `Sweep.of` takes, at least two.
            samplers: how each is drawn from; each experiment's own samplers, if there are none.
            steps: lengths of the walks of samplers that say none; those of the samplers, if there are none.
            count: images of each walk.
            features, metrics: what to judge by; those of the first experiment, if not given.
            overrides: changes of the experiments of YAML files.
            output: folder of all results; that of the first run if not given.

        Raises:
            CheckpointError: if something is no trained model.
            ConfigError: if samplers, features or metrics have problems.
            DataError: if two are the same model, or they are judged by different images.
        """
        given = {"count": count, "output": None if output is None else str(output)}
        judge: dict[str, Any] = {"features": features, "metrics": list(metrics)}
        sweeps, sweep_arguments = [], []
        for place in places:
            order = {
                "place": str(place),
                **given,
                "overrides": overrides_for(place, overrides),
                "steps": list(steps or DEFAULT_STEPS),
            }
            trained = Sweep.of(**order, samplers=samplers or ["ddim"]).trained
            order["samplers"] = list(samplers) or _own_samplers(trained, steps)
            if not judge["features"] or not judge["metrics"]:
                evaluation = trained.options()["evaluation"]
                judge = {key: judge[key] or evaluation[key] for key in ("features", "metrics")}
            order |= judge
            sweeps.append(Sweep.of(**order))
            sweep_arguments.append(order)
        _require_same_data(sweeps)
        named = dict(zip(distinct_names(sweeps), sweeps, strict=True))
        return cls(named, tuple(sweep_arguments), Path(output) if output is not None else sweeps[0].root)

    def reports(self) -> dict[str, Report] | None:
        """Return the report of each model, or None while one is not finished."""
        found = {name: sweep.finished() for name, sweep in self.sweeps.items()}
        reports = {name: sweep_result.report for name, sweep_result in found.items() if sweep_result is not None}
        return reports if len(reports) == len(found) else None

    def finished(self) -> ComparisonResult | None:
        """Return the finished comparison, or None."""
        reports = self.reports()
        directory = None if reports is None else self._directory(reports)
        if directory is None or not is_complete(directory, KIND):
            return None
        report = Report.finished(directory, KIND)
        charts = read_manifest(directory, KIND).about["charts"]
        return (
            ComparisonResult(directory, report, {column: directory / f"{column}.png" for column in charts})
            if report
            else None
        )

    def write_report(self) -> ComparisonResult:
        """Put the reports of all models side by side, with what differs and the charts.

        Raises:
            DataError: if a model's sweep is not finished, or they were not judged alike.
            StorageError: if it cannot be written.
        """
        from noisette.comparison.chart import draw_chart

        done = self.finished()
        if done is not None:
            return done
        reports = self.reports()
        if reports is None:
            raise DataError("compare: expected finished sweeps of all models; start again")
        directory = self._directory(reports)
        report = join_reports(reports, self.sweeps, directory)
        report.details["differences"] = [found.options() for found in differences(report)]
        charts = chart_columns(report)
        title = f"{len(self.sweeps)} models"
        with committed(directory, KIND, {"models": list(self.sweeps), "charts": charts}) as staging:
            report.write(staging)
            for column in charts:
                draw_chart(report, column, title, staging / f"{column}.png", staging / f"{column}.svg")
        result = self.finished()
        if result is None:
            raise DataError(f"{directory}: the comparison was removed while it was made; start again")
        return result

    def _directory(self, reports: Mapping[str, Report]) -> Path:
        parts = [
            [name, self.sweeps[name].checkpoint.digest, report.directory.name] for name, report in reports.items()
        ]
        return self.root / "comparisons" / digest(_VERSION, parts)


def compare_models(comparison: ModelComparison, *, events: Events | None = None) -> ComparisonResult:
    """Draw, judge and compare all models; what is finished is skipped.

    Raises:
        DataError: if the images to compare with are not prepared; else as `sample` and `evaluate`.
    """
    done = comparison.finished()
    if done is not None:
        return done
    for sweep in comparison.sweeps.values():
        compare(sweep, events=events)
    return comparison.write_report()


def overrides_for(place: Path | str, overrides: Sequence[str] | Mapping[str, Any]) -> Any:
    """Return the overrides that a place can have: a directory has no config to change."""
    return overrides if Path(place).is_file() else {}


def _own_samplers(trained: Experiment, steps: Sequence[int]) -> list[dict[str, Any]]:
    """Return the experiment's own samplers, with their steps unless others are asked for."""
    options = [dict(sampler) for sampler in trained.options()["sampling"]["samplers"]]
    return [{key: value for key, value in one.items() if not (steps and key == "steps")} for one in options]


def _require_same_data(sweeps: Sequence[Sweep]) -> None:
    data = {}
    for sweep in sweeps:
        place = data_directory(sweep.experiment, sweep.root)
        prepared = Prepared.finished(place)
        if prepared is None:
            raise DataError(f"{place}: the prepared images of {sweep.experiment.name} are not here; prepare them")
        data[prepared.digest] = f"{sweep.experiment.name} by {place}"
    if len(data) > 1:
        raise DataError(
            f"compare: expected models that are judged by the same images; got {', '.join(data.values())}"
        )
