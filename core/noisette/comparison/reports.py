"""The reports of several models as one: their rows between one floor and one noise."""

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
        reports: the models' reports, by name.
        sweeps: what they are of, by the same names.
        directory: where it will lie.

    Raises:
        DataError: if they were not measured over the same features.
    """
    everything = list(reports.values())
    weights = {str(report.protocol["weights_sha256"]) for report in everything}
    if len(weights) > 1:
        raise DataError("compare: expected results over the same features; these are of different weights")
    rows = {kind: [row for row in everything[0].rows if row.kind == kind] for kind in ("floor", "noise")}
    single = all(sum(row.kind == "sampler" for row in report.rows) == 1 for report in everything)
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
        columns=list(dict.fromkeys(column for report in everything for column in report.columns)),
        better={column: better for report in everything for column, better in report.better.items()},
        protocol=_protocol(everything),
        details={
            **{key: everything[0].details[key] for key in ("features", "metrics", "plugins", "versions")},
            "samplers": samplers,
            "models": {name: _about(sweeps[name], report) for name, report in reports.items()},
            "test": METHOD,
        },
        notes=_notes(reports) + _timing_notes(reports, samplers),
        model={
            f"{result} of {name}": found
            for name, report in reports.items()
            for result, found in report.model.items()
        },
    )


def _protocol(reports: list[Report]) -> dict[str, Any]:
    """Return what they share, and where they differ the values of all."""
    found: dict[str, Any] = {}
    for key in dict.fromkeys(key for report in reports for key in report.protocol):
        values = [report.protocol[key] for report in reports if key in report.protocol]
        distinct = list(dict.fromkeys(values))
        found[key] = distinct[0] if len(distinct) == 1 else ", ".join(map(str, values))
    return found


def _about(sweep: Sweep, report: Report) -> dict[str, Any]:
    return {
        "checkpoint": str(sweep.checkpoint.directory),
        "digest": sweep.checkpoint.digest,
        "step": sweep.checkpoint.step,
        "experiment": sweep.trained.name,
        "report": str(report.directory),
    }


def _timing_notes(reports: Mapping[str, Report], samplers: Mapping[str, Any]) -> list[str]:
    """Return the note that times of several models do not compare, unless a model's own notes say so."""
    own = (check_comparable_timings(report.details["samplers"]) for report in reports.values())
    apart = check_comparable_timings(samplers)
    return [apart] if apart and not any(own) else []


def _notes(reports: Mapping[str, Report]) -> list[str]:
    """Return the notes of all, those that all share once; and whether floors differ."""
    everywhere = [
        note for note in next(iter(reports.values())).notes if all(note in r.notes for r in reports.values())
    ]
    single = [
        f"{name}: {note}" for name, report in reports.items() for note in report.notes if note not in everywhere
    ]
    floors = {repr([row.results for row in report.rows if row.kind == "floor"]) for report in reports.values()}
    apart = ["the models were drawn and judged with different seeds: the floor is that of the first"]
    return [*everywhere, *single, *(apart if len(floors) > 1 else [])]
