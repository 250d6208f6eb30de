"""A report read as curves: the rows of one sampler by length, and who is best at what cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from noisette.contracts import Sampler
from noisette.evaluation.report import Report, Row

__all__ = ["Series", "frontier", "label_of", "series_of", "telling"]


@dataclass(frozen=True)
class Series:
    """One sampler at several lengths.

    Attributes:
        name: the sampler's name; where there are several models, the model's.
        label: its name and every option that is not the default, such as ``ddpm variance=fixed-large``.
        options: its options but the steps.
        rows: its rows by length; each has steps, network calls and seconds a picture.
    """

    name: str
    label: str
    options: dict[str, Any]
    rows: list[Row]


def series_of(report: Report) -> list[Series]:
    """Return the samplers of a report in its order, their rows by rising number of steps."""
    found: dict[str, Series] = {}
    for row in report.rows:
        if row.kind == "sampler":
            options = dict(report.details["samplers"][row.label]["sampler"])
            name, steps = str(options.pop("name")), options.pop("steps")
            about = report.details["samplers"][row.label]
            label = _without_steps(str(about.get("label", row.label)), name, steps)
            if "model" in about:  # of several models each has its colour, and its samplers their lines
                name, label = str(about["model"]), f"{about['model']}: {label}"
            found.setdefault(label, Series(name, label, options, [])).rows.append(row)
    return [Series(one.name, one.label, one.options, sorted(one.rows, key=_steps)) for one in found.values()]


def frontier(report: Report) -> set[tuple[str, str]]:
    """Return (label, column) of every telling result that none betters with as many network calls or fewer."""
    rows = [row for row in report.rows if row.network_calls is not None]
    best: set[tuple[str, str]] = set()
    for column in telling(report):
        sign = 1 if report.better[column] == "lower" else -1
        points = [
            (row.network_calls or 0, sign * row.results[column].value, row.label)
            for row in rows
            if column in row.results
        ]
        for calls, value, label in points:
            if value <= min(other for spent, other, _ in points if spent <= calls):
                best.add((label, column))
    return best


def telling(report: Report) -> list[str]:
    """Return the columns that tell walks apart: their values differ, one way is better, and they are no counts."""
    rows = [row for row in report.rows if row.kind == "sampler"]
    values = {
        column: {row.results[column].value for row in rows if column in row.results} for column in report.columns
    }
    return [
        column
        for column, found in values.items()
        if len(found) > 1 and report.better[column] != "neither" and not all(value.is_integer() for value in found)
    ]


def label_of(sampler: Sampler) -> str:
    """Return what a sampler is called without its steps, such as ``ddpm variance=fixed-large``."""
    return _without_steps(sampler.label, sampler.name, sampler.steps)


def _without_steps(label: str, name: str, steps: int) -> str:
    # a list of steps has another length than `steps` says, and is a series of its own
    rest = label.removeprefix(f"{name}-{steps}")
    return label if rest == label else f"{name}{rest.replace('-', ' ', 1)}"


def _steps(row: Row) -> int:
    return row.steps or 0
