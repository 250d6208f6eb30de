"""Comparisons of several trained models: checkpoints, runs or configs, each with its samplers.

    <root>/comparisons/<key>/      report.json with the rows of all models, and the charts

Each model has its own `Sweep`, with images and results in its run directory. Models are compared only over the same
features and the same reference images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette.comparison.chart import chart_columns
from noisette.comparison.names import distinct_names
from noisette.comparison.samplers import DEFAULT_STEPS
from noisette.comparison.sweep import Sweep, compare
from noisette.config import Experiment
from noisette.data.prepared import Prepared
from noisette.errors import DataError
from noisette.evaluation.report import Report, Row
from noisette.evaluation.significance import METHOD, differences
from noisette.layout import data_directory
from noisette.sampling.samples import check_comparable_timings
from noisette.storage import committed, digest, is_complete, read_manifest

if TYPE_CHECKING:
    from noisette.comparison.sweep import Sweep
    from noisette.events import Events

__all__ = ["ComparisonResult", "ModelComparison", "compare_models"]

KIND = "comparison"
_VERSION = 1


@dataclass(frozen=True)
class ComparisonResult:
    """A finished comparison of several models.

    Attributes:
        directory: holds `report.json`, and a PNG and an SVG file of each chart.
        report: the floor, the rows of every model, and noise; `details["differences"]` has the significance of
            differences between rows.
        charts: the PNG file of each chart, by column of the report.
    """

    directory: Path
    report: Report
    charts: dict[str, Path]


@dataclass(frozen=True)
class ModelComparison:
    """Several trained models with the samplers of each.

    Attributes:
        sweeps: a sweep for each model, by name of the model.
        sweep_arguments: the arguments of `Sweep.of` for each model, as JSON values.
        root: results directory of the comparison.
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
        num_images: int = 500,
        features: Any = None,
        metrics: Sequence[Any] = (),
        overrides: Sequence[str] | Mapping[str, Any] = (),
        output: Path | str | None = None,
    ) -> ModelComparison:
        """Return the comparison of several trained models.

        Args:
            places: at least two trained models, each as for `Sweep.of`.
            samplers: the samplers; those of each experiment if empty.
            steps: numbers of sampling steps for samplers without explicit steps; their own if empty.
            num_images: number of images of each sampler.
            features, metrics: as in a config; None and empty take those of the first experiment.
            overrides: changes of experiments in YAML files.
            output: results directory; None takes that of the first run.

        Raises:
            CheckpointError: if there is no trained model.
            ConfigError: if samplers, features or metrics have problems.
            DataError: if two models are the same, or their reference images differ.
        """
        given = {"num_images": num_images, "output": None if output is None else str(output)}
        criteria: dict[str, Any] = {"features": features, "metrics": list(metrics)}
        sweeps, sweep_arguments = [], []
        for place in places:
            arguments = {
                "place": str(place),
                **given,
                "overrides": overrides_for(place, overrides),
                "steps": list(steps or DEFAULT_STEPS),
            }
            trained = Sweep.of(**arguments, samplers=samplers or ["ddim"]).trained
            arguments["samplers"] = list(samplers) or _own_samplers(trained, steps)
            if not criteria["features"] or not criteria["metrics"]:
                evaluation = trained.options()["evaluation"]
                criteria = {key: criteria[key] or evaluation[key] for key in ("features", "metrics")}
            arguments |= criteria
            sweeps.append(Sweep.of(**arguments))
            sweep_arguments.append(arguments)
        _require_same_data(sweeps)
        named = dict(zip(distinct_names(sweeps), sweeps, strict=True))
        return cls(named, tuple(sweep_arguments), Path(output) if output is not None else sweeps[0].root)

    def reports(self) -> dict[str, Report] | None:
        """Return the report of each model; None if one is not finished."""
        results = {name: sweep.finished() for name, sweep in self.sweeps.items()}
        reports = {name: result.report for name, result in results.items() if result is not None}
        return reports if len(reports) == len(results) else None

    def finished(self) -> ComparisonResult | None:
        """Return the comparison if it is finished, None otherwise."""
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
        """Join the reports of all models, with the significance of differences, and draw the charts.

        Raises:
            DataError: if the sweep of a model is not finished, or the reports are not comparable.
            StorageError: if the comparison cannot be written.
        """
        from noisette.comparison.chart import draw_chart

        done = self.finished()
        if done is not None:
            return done
        reports = self.reports()
        if reports is None:
            raise DataError("compare: expected finished sweeps of all models; run the comparison again")
        directory = self._directory(reports)
        report = _join_reports(reports, self.sweeps, directory)
        report.details["differences"] = [difference.options() for difference in differences(report)]
        charts = chart_columns(report)
        title = f"{len(self.sweeps)} models"
        with committed(directory, KIND, {"models": list(self.sweeps), "charts": charts}) as staging:
            report.write(staging)
            for column in charts:
                draw_chart(report, column, title, staging / f"{column}.png", staging / f"{column}.svg")
        result = self.finished()
        if result is None:
            raise DataError(f"{directory}: the comparison was removed while it was written; run it again")
        return result

    def _directory(self, reports: Mapping[str, Report]) -> Path:
        parts = [
            [name, self.sweeps[name].checkpoint.digest, report.directory.name] for name, report in reports.items()
        ]
        return self.root / "comparisons" / digest(_VERSION, parts)


def compare_models(comparison: ModelComparison, *, events: Events | None = None) -> ComparisonResult:
    """Sample from all models, evaluate and compare them; finished parts are skipped.

    Raises:
        DataError: if the reference images are not prepared; otherwise as `sample` and `evaluate`.
    """
    done = comparison.finished()
    if done is not None:
        return done
    for sweep in comparison.sweeps.values():
        compare(sweep, events=events)
    return comparison.write_report()


def overrides_for(place: Path | str, overrides: Sequence[str] | Mapping[str, Any]) -> Any:
    """Return the overrides for a place; none for a directory, which has no config to change."""
    return overrides if Path(place).is_file() else {}


def _own_samplers(trained: Experiment, steps: Sequence[int]) -> list[dict[str, Any]]:
    """Return the samplers of an experiment, without their steps if `steps` are given."""
    options = [dict(sampler) for sampler in trained.options()["sampling"]["samplers"]]
    return [{key: value for key, value in o.items() if not (steps and key == "steps")} for o in options]


def _require_same_data(sweeps: Sequence[Sweep]) -> None:
    data = {}
    for sweep in sweeps:
        place = data_directory(sweep.experiment, sweep.root)
        prepared = Prepared.finished(place)
        if prepared is None:
            raise DataError(
                f"{place}: expected the prepared images of {sweep.experiment.name}; got none; prepare them"
            )
        data[prepared.digest] = f"{sweep.experiment.name} by {place}"
    if len(data) > 1:
        raise DataError(f"compare: expected models with the same reference images; got {', '.join(data.values())}")


def _join_reports(reports: Mapping[str, Report], sweeps: Mapping[str, Sweep], directory: Path) -> Report:
    """Return one report of all models.

    Args:
        reports: the reports by name of the model.
        sweeps: the sweeps of the reports, by the same names.
        directory: directory of the joined report.

    Raises:
        DataError: if the reports use different features.
    """
    all_reports = list(reports.values())
    weights = {str(report.protocol["weights_sha256"]) for report in all_reports}
    if len(weights) > 1:
        raise DataError("compare: expected results over the same features; got features with different weights")
    rows = {kind: [row for row in all_reports[0].rows if row.kind == kind] for kind in ("floor", "noise")}
    single = all(sum(row.kind == "sampler" for row in report.rows) == 1 for report in all_reports)
    sampler_rows: list[Row] = []
    samplers: dict[str, Any] = {}
    for name, report in reports.items():
        for row in report.rows:
            if row.kind == "sampler":
                label = name if single else f"{name}: {row.label}"
                sampler_rows.append(replace(row, label=label))
                samplers[label] = {**report.details["samplers"][row.label], "model": name}
    return Report(
        directory=directory,
        rows=[*rows["floor"], *sampler_rows, *rows["noise"]],
        columns=list(dict.fromkeys(column for report in all_reports for column in report.columns)),
        better={column: better for report in all_reports for column, better in report.better.items()},
        protocol=_join_protocols(all_reports),
        details={
            **{key: all_reports[0].details[key] for key in ("features", "metrics", "plugins", "versions")},
            "samplers": samplers,
            "models": {name: _about(sweeps[name], report) for name, report in reports.items()},
            "test": METHOD,
        },
        notes=_notes(reports) + _timing_notes(reports, samplers),
        model={
            f"{result} of {name}": value
            for name, report in reports.items()
            for result, value in report.model.items()
        },
    )


def _join_protocols(reports: list[Report]) -> dict[str, Any]:
    """Return the entries that all share, and all values where they differ."""
    joined: dict[str, Any] = {}
    for key in dict.fromkeys(key for report in reports for key in report.protocol):
        values = [report.protocol[key] for report in reports if key in report.protocol]
        distinct = list(dict.fromkeys(values))
        joined[key] = distinct[0] if len(distinct) == 1 else ", ".join(map(str, values))
    return joined


def _about(sweep: Sweep, report: Report) -> dict[str, Any]:
    return {
        "checkpoint": str(sweep.checkpoint.directory),
        "digest": sweep.checkpoint.digest,
        "step": sweep.checkpoint.step,
        "experiment": sweep.trained.name,
        "report": str(report.directory),
    }


def _timing_notes(reports: Mapping[str, Report], samplers: Mapping[str, Any]) -> list[str]:
    """Return a note if timings of the models are not comparable, unless a report has one already."""
    own = (check_comparable_timings(report.details["samplers"]) for report in reports.values())
    note = check_comparable_timings(samplers)
    return [note] if note and not any(own) else []


def _notes(reports: Mapping[str, Report]) -> list[str]:
    """Return the notes of all reports, shared ones once, and a note if their floors differ."""
    shared = [note for note in next(iter(reports.values())).notes if all(note in r.notes for r in reports.values())]
    single = [f"{name}: {note}" for name, report in reports.items() for note in report.notes if note not in shared]
    floors = {repr([row.results for row in report.rows if row.kind == "floor"]) for report in reports.values()}
    different = ["the models were sampled and evaluated with different seeds; the floor is that of the first"]
    return [*shared, *single, *(different if len(floors) > 1 else [])]
