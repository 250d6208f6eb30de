"""The reports of several models joined into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette.errors import DataError
from noisette.evaluation.report import Report, Row
from noisette.evaluation.significance import METHOD
from noisette.sampling.samples import check_comparable_timings

if TYPE_CHECKING:
    from noisette.comparison.sweep import Sweep

__all__ = ["join_reports"]


def join_reports(reports: Mapping[str, Report], sweeps: Mapping[str, Sweep], directory: Path) -> Report:
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
