"""The report of an evaluation: a table of results with standard errors, and the protocol of the measurement.

A report is read from `report.json` without torch or numpy. As text, numbers are rounded to the precision of their
standard errors, and results that are equal in all rows are listed below the table.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from noisette.contracts.metric import Curve, Estimate, Metric
from noisette.errors import StorageError
from noisette.formatting import format_estimate, format_number
from noisette.plugins import registry
from noisette.storage import is_complete, verify

__all__ = [
    "ARROWS",
    "BASELINE_LABELS",
    "CURVES",
    "REPORT",
    "CellKey",
    "Report",
    "Row",
    "caption",
    "chart_columns",
    "format_table",
    "headers",
    "row_cells",
    "short_header",
]

REPORT = "report.json"
CURVES = "curves.png"


@dataclass(frozen=True)
class Row:
    """Results of one set of images compared with the reference.

    Attributes:
        kind: "floor" for real held-out images, "sampler", "images" of any other origin, or "noise".
        label: label of the sampler, path of the images, or name of the baseline.
        steps, network_calls, seconds_per_image: cost of a sampler; None for other rows.
        results: estimates by column; metrics that could not be computed are missing.
    """

    kind: Literal["floor", "sampler", "images", "noise"]
    label: str
    steps: int | None = None
    network_calls: int | None = None
    seconds_per_image: float | None = None
    results: dict[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A comparison of generated or other images with real images.

    Attributes:
        directory: contains `report.json`, and `curves.png` if there are curves.
        rows: the floor, the samplers in the given order, and noise.
        columns: names of the results, in the order of the metrics.
        better: "lower", "higher" or "neither" for each column.
        protocol: what determines the numbers, as plain values: features and the SHA-256 of their weights, resizing,
            counts and splits, precision, EMA, seed, checkpoint, versions.
        details: the protocol in full: options of features, metrics and samplers, SHA-256 of every set.
        notes: notes for the reader, such as which metric was skipped and why.
        model: results of metrics of the model itself, without a sampler.
        curves: results of the model as functions of a variable, such as the loss by timestep.
        neighbours: file names of the figures with images of a row and their nearest neighbours in the reference,
            by label of the row.
    """

    directory: Path
    rows: list[Row] = field(repr=False)
    columns: list[str] = field(repr=False)
    better: dict[str, str] = field(repr=False)
    protocol: dict[str, Any] = field(repr=False)
    details: dict[str, Any] = field(repr=False)
    notes: list[str] = field(repr=False)
    model: dict[str, Estimate] = field(default_factory=dict, repr=False)
    curves: dict[str, Curve] = field(default_factory=dict, repr=False)
    neighbours: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, directory: Path, kind: str = "evaluation") -> Report:
        """Read a report after verifying its hash. `kind` is the kind in its manifest.

        Raises:
            StorageError: if the report is missing, damaged or of another format.
        """
        verify(directory, kind)
        return cls._read(directory)

    @classmethod
    def finished(cls, directory: Path, kind: str = "evaluation") -> Report | None:
        """Return the report of a directory if it is complete, otherwise None. Only file sizes are checked."""
        return cls._read(directory) if is_complete(directory, kind) else None

    @classmethod
    def read(cls, directory: Path) -> Report:
        """Read a `report.json` without a manifest, such as one stored by a tracker. Nothing is verified.

        Raises:
            StorageError: if the report is missing or of another format.
        """
        return cls._read(directory)

    @classmethod
    def _read(cls, directory: Path) -> Report:
        path = directory / REPORT
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            rows = [_row_from_json(row) for row in content.pop("rows")]
            model = {name: Estimate(**result) for name, result in content.pop("model", {}).items()}
            curves = {
                name: [(x, Estimate(*y)) for x, y in curve] for name, curve in content.pop("curves", {}).items()
            }
            return cls(directory=directory, rows=rows, model=model, curves=curves, **content)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StorageError(f"{path}: expected a report of this version; it cannot be read: {error}") from None

    @property
    def curves_figure(self) -> Path | None:
        """Path of the PNG file of the curves, or None if there are none."""
        return self.directory / CURVES if self.curves else None

    @property
    def neighbour_figures(self) -> dict[str, Path]:
        """Paths of the figures of nearest neighbours, by label of the row."""
        return {label: self.directory / name for label, name in self.neighbours.items()}

    def __str__(self) -> str:
        """Return the table as plain text, followed by the protocol and the notes."""
        return format_table(self)

    def write(self, directory: Path) -> None:
        """Write `report.json` into a directory."""
        content = {key: value for key, value in asdict(self).items() if key != "directory"}
        content["rows"] = [_row_to_json(row) for row in self.rows]
        content["model"] = {name: result._asdict() for name, result in self.model.items()}
        text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
        (directory / REPORT).write_text(text + "\n", encoding="utf-8")


def _row_to_json(row: Row) -> dict[str, Any]:
    return {**asdict(row), "results": {column: result.options() for column, result in row.results.items()}}


def _row_from_json(content: dict[str, Any]) -> Row:
    results = {column: Estimate(**result) for column, result in content.pop("results").items()}
    return Row(**content, results=results)


CellKey = tuple[str, str]
"""Label of the row and name of the column of a result."""

BASELINE_LABELS = {"floor": "real, held out", "noise": "pure noise"}
"""Labels of the baseline rows, by kind."""

ARROWS = {"lower": "↓", "higher": "↑", "neither": "·"}


def format_table(report: Report) -> str:
    """Return a report as plain text: the table, the protocol and the notes."""
    rows = [headers(report), *(list(row_cells(report, row)) for row in report.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]).rstrip() for first, *others in rows
    ]
    return "\n".join([*lines, "", *caption(report), *(f"note: {note}" for note in report.notes)])


def headers(report: Report) -> list[str]:
    """Return the column headers; those of results have an arrow for the better direction."""
    features = str(report.protocol["features"])
    columns = [
        f"{short_header(column, features)} {ARROWS[report.better[column]]}" for column in _varying_columns(report)
    ]
    if not _has_costs(report):
        return ["images", *columns]
    return ["sampler", "steps", "calls", "s per image", *columns]


def row_cells(
    report: Report, row: Row, best: Collection[CellKey] = (), marked: str = "{}", others: str = "{}"
) -> Iterator[str]:
    """Yield the cells of a row; `marked` and `others` are format strings for the best and the other results."""
    yield BASELINE_LABELS.get(row.kind, row.label)
    if _has_costs(report):
        yield "" if row.steps is None else str(row.steps)
        yield "" if row.network_calls is None else str(row.network_calls)
        yield "" if row.seconds_per_image is None else format_number(row.seconds_per_image, 3)
    for column in _varying_columns(report):
        yield (marked if (row.label, column) in best else others).format(_format_cell(row, column))


def caption(report: Report) -> list[str]:
    """Return the lines below the table that describe the features, the sets compared and the sampling."""
    protocol = report.protocol
    features = str(protocol["features"])
    shared = [
        f"{short_header(column, features)} {_format_cell(report.rows[0], column)}"
        for column in _shared_columns(report)
    ]
    sets = _describe_two_sets(protocol) if "generated" in protocol else _describe_samplers(protocol)
    return [
        *_describe_features(report),
        sets,
        *shared,
        *_format_model_results(report),
        *_describe_versions(protocol),
    ]


def _describe_features(report: Report) -> list[str]:
    """Return a description of the features: network, hash of the weights, facts and resizing of the images."""
    protocol = report.protocol
    features = str(protocol["features"])
    over = [short_header(column, features) for column in report.columns if _is_over_features(column, features)]
    known = [
        f"{key.removeprefix('features_').replace('_', ' ')} {value}"
        for key, value in protocol.items()
        if key.startswith("features_") and key != "features_package"
    ]
    weights = ", ".join([f"sha256 {protocol['weights_sha256'][:8]}", str(protocol["precision"]), *known])
    return (
        [f"{_join_names(over)} over {features} ({weights}), images resized by {protocol['resize']}"] if over else []
    )


def _describe_samplers(protocol: Mapping[str, Any]) -> str:
    reference = f"{protocol['reference_count']} of {protocol['dataset']} {protocol['reference_split']}"
    heldout = f"{protocol['heldout_count']} of {protocol['heldout_split']}"
    generated = f"{protocol['generated_count']} images each against {reference}"
    return f"{generated}; held out: {heldout}; {_describe_sampling(protocol)}"


def _describe_two_sets(protocol: Mapping[str, Any]) -> str:
    """Return a description of two sets of images."""
    reference = f"{protocol['reference']}" + (" of train" if protocol["reference_split"] == "train" else "")
    sets = f"{protocol['generated']}, against {protocol['dataset']}, {reference}"
    floor = f"held out: {protocol['heldout_count']} of {protocol['heldout_split']}, seed {protocol['floor_seed']}"
    sampling = [f"{protocol['samplers']}, {_describe_sampling(protocol)}"] if "samplers" in protocol else []
    return "; ".join([sets, *([floor] if protocol["heldout_count"] else []), *sampling])


def _describe_sampling(protocol: Mapping[str, Any]) -> str:
    return f"generated at step {protocol['step']} with {_describe_ema(protocol['ema'])}, seed {protocol['seed']}"


def _describe_versions(protocol: Mapping[str, Any]) -> list[str]:
    """Return the software versions and the device. Reports of older versions do not have them."""
    if "noisette" not in protocol:
        return []
    names = [f"{name} {protocol[name]}" for name in ("noisette", "torch", "python")]
    return [f"Computed by {', '.join(names)} on {protocol['device']}"]


def _join_names(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _describe_ema(ema: Any) -> str:
    """Return which weights generated the images, in words. The EMA of several samples is a string."""
    if isinstance(ema, bool):
        return "averaged weights" if ema else "weights not averaged"
    return f"weights averaged with decay {ema}" if isinstance(ema, float) else "mixed weights"


def _format_model_results(report: Report) -> list[str]:
    """Return the results of the model, one line per metric, with the parts of a result in brackets."""
    lines: list[str] = []
    for name, estimate in report.model.items():
        whole = next((other for other in report.model if name.startswith(f"{other}_")), None)
        shown = f"{name.removeprefix(f'{whole}_').replace('_', ' ')} {format_estimate(*estimate)}"
        if whole is None:
            lines.append(f"the model's {shown}")
        else:
            lines[-1] = f"{lines[-1][:-1]}, {shown})" if lines[-1].endswith(")") else f"{lines[-1]} ({shown})"
    return lines


def short_header(column: str, features: str) -> str:
    """Return the name of a column without the label of the features, such as ``Frechet`` or ``KID``."""
    name = column.removesuffix(f"_{features}").replace("_", " ")
    return name.upper() if len(name) <= 3 else name[0].upper() + name[1:]


def _is_over_features(column: str, features: str) -> bool:
    """Return whether a result uses the features: its name ends with their label or is their published name."""
    metrics = (found.plugin for found in registry().of_kind("metric"))
    return column.endswith(f"_{features}") or any(
        column in metric.published_names.get(features, {}).values()
        for metric in metrics
        if issubclass(metric, Metric)
    )


def _shared_columns(report: Report) -> list[str]:
    """Return the columns with the same value in every row, which describe the measurement, not the images."""
    values = {column: [row.results.get(column) for row in report.rows] for column in report.columns}
    return [column for column, found in values.items() if len(found) > 1 and len(set(found)) == 1]


def _varying_columns(report: Report) -> list[str]:
    return [column for column in report.columns if column not in _shared_columns(report)]


def chart_columns(report: Report) -> set[str]:
    """Return the columns to chart: those that vary between rows and are not counts, which saturate."""
    values = {
        column: [row.results[column].value for row in report.rows if column in row.results]
        for column in _varying_columns(report)
    }
    return {column for column, found in values.items() if not all(value.is_integer() for value in found)}


def _has_costs(report: Report) -> bool:
    """Return whether the table has columns for the cost of sampling: some row must have one."""
    return any(row.network_calls is not None for row in report.rows)


def _format_cell(row: Row, column: str) -> str:
    estimate = row.results.get(column)
    return "" if estimate is None else format_estimate(*estimate)
