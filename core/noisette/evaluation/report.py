"""The report of an evaluation: a table whose numbers carry their error, and how they were measured.

It is read from `report.json` without torch or numpy. As text, numbers are shown to the digits that their standard
errors allow; what all rows share stands beneath the table.
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
    """One set of images compared with the reference.

    Attributes:
        kind: "floor" for real held-out images, "sampler", "images" of any other origin, or "noise".
        label: the sampler's label, where the images lie, or what the baseline is.
        steps, network_calls, seconds_per_image: of a sampler; None for the others.
        results: estimates by column; a metric that could not be computed is missing.
    """

    kind: Literal["floor", "sampler", "images", "noise"]
    label: str
    steps: int | None = None
    network_calls: int | None = None
    seconds_per_image: float | None = None
    results: dict[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A comparison of samplers, or of any images, with real ones.

    Attributes:
        directory: holds `report.json`, and `curves.png` if there are curves.
        rows: the floor, the samplers in the order given, and noise.
        columns: names of the results, in the order of the metrics.
        better: "lower", "higher" or "neither" for each column.
        protocol: what decides the numbers, as plain values: features and the sha256 of their weights, resizing,
            counts and splits, precision, EMA, seed, checkpoint, versions.
        details: the same in full: options of features, metrics and samplers, sha256 of every set.
        notes: what a reader must know, such as a metric that was left out and why.
        model: what was found of the model itself, without any sampler.
        curves: the same as functions of something, such as a loss of the step.
        neighbours: names of the image files that show some of a row's images beside the reference's nearest,
            by the row's label.
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
        """Read a report after verifying its hash; `kind` is that of its manifest.

        Raises:
            StorageError: if it is missing, damaged or of another format.
        """
        verify(directory, kind)
        return cls._read(directory)

    @classmethod
    def finished(cls, directory: Path, kind: str = "evaluation") -> Report | None:
        """Return the report of this directory if it is complete; looks at sizes only."""
        return cls._read(directory) if is_complete(directory, kind) else None

    @classmethod
    def read(cls, directory: Path) -> Report:
        """Read a `report.json` that has no manifest beside it, such as one that a tracker kept; verifies nothing.

        Raises:
            StorageError: if it is missing, or of another format.
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
        """The curves as a PNG file, or None where there are none."""
        return self.directory / CURVES if self.curves else None

    @property
    def neighbour_figures(self) -> dict[str, Path]:
        """The files that show images beside the reference's nearest, by the row's label."""
        return {label: self.directory / name for label, name in self.neighbours.items()}

    def __str__(self) -> str:
        """Return the table as plain text, with how it was measured and the notes beneath."""
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
"""The label of a row and a column: one result."""

BASELINE_LABELS = {"floor": "real, held out", "noise": "pure noise"}
"""What the rows are called that are no samplers, by their kind."""

ARROWS = {"lower": "↓", "higher": "↑", "neither": "·"}


def format_table(report: Report) -> str:
    """Return a report as plain text: the table, how it was measured, and its notes."""
    rows = [headers(report), *(list(row_cells(report, row)) for row in report.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]).rstrip() for first, *others in rows
    ]
    return "\n".join([*lines, "", *caption(report), *(f"note: {note}" for note in report.notes)])


def headers(report: Report) -> list[str]:
    """Return the heads of the columns, each with an arrow to the better side."""
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
    """Yield the cells of a row; `marked` and `others` are the formats of the best results and of the rest."""
    yield BASELINE_LABELS.get(row.kind, row.label)
    if _has_costs(report):
        yield "" if row.steps is None else str(row.steps)
        yield "" if row.network_calls is None else str(row.network_calls)
        yield "" if row.seconds_per_image is None else format_number(row.seconds_per_image, 3)
    for column in _varying_columns(report):
        yield (marked if (row.label, column) in best else others).format(_format_cell(row, column))


def caption(report: Report) -> list[str]:
    """Return how the numbers were measured: what they are over, what was compared, what was drawn."""
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
    """Return what the distances are over: the network, its hash, what it says of itself, how images reach it."""
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
    """Return what two sets of images are."""
    reference = f"{protocol['reference']}" + (" of train" if protocol["reference_split"] == "train" else "")
    sets = f"{protocol['generated']}, against {protocol['dataset']}, {reference}"
    floor = f"held out: {protocol['heldout_count']} of {protocol['heldout_split']}, seed {protocol['floor_seed']}"
    sampling = [f"{protocol['samplers']}, {_describe_sampling(protocol)}"] if "samplers" in protocol else []
    return "; ".join([sets, *([floor] if protocol["heldout_count"] else []), *sampling])


def _describe_sampling(protocol: Mapping[str, Any]) -> str:
    return f"drawn at step {protocol['step']} with {_describe_ema(protocol['ema'])}, seed {protocol['seed']}"


def _describe_versions(protocol: Mapping[str, Any]) -> list[str]:
    """Return the versions of what computed, and where; reports of older versions do not say it."""
    if "noisette" not in protocol:
        return []
    names = [f"{name} {protocol[name]}" for name in ("noisette", "torch", "python")]
    return [f"Computed by {', '.join(names)} on {protocol['device']}"]


def _join_names(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _describe_ema(ema: Any) -> str:
    """Return which weights drew the images, in words; several samples' are a text."""
    if isinstance(ema, bool):
        return "averaged weights" if ema else "weights not averaged"
    return f"weights averaged with decay {ema}" if isinstance(ema, float) else "mixed weights"


def _format_model_results(report: Report) -> list[str]:
    """Return what was found of the model itself, a line a metric: the parts of a result follow it in brackets."""
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
    """Return a column's name without the features', which stand beneath the table: ``Frechet``, ``KID``."""
    name = column.removesuffix(f"_{features}").replace("_", " ")
    return name.upper() if len(name) <= 3 else name[0].upper() + name[1:]


def _is_over_features(column: str, features: str) -> bool:
    """Return whether a result is over the feature network: its name ends in the label, or is published for it."""
    metrics = (found.plugin for found in registry().of_kind("metric"))
    return column.endswith(f"_{features}") or any(
        column in metric.published_names.get(features, {}).values()
        for metric in metrics
        if issubclass(metric, Metric)
    )


def _shared_columns(report: Report) -> list[str]:
    """Return the columns whose value is one and the same in every row: about the measuring, not the images."""
    values = {column: [row.results.get(column) for row in report.rows] for column in report.columns}
    return [column for column, found in values.items() if len(found) > 1 and len(set(found)) == 1]


def _varying_columns(report: Report) -> list[str]:
    return [column for column in report.columns if column not in _shared_columns(report)]


def chart_columns(report: Report) -> set[str]:
    """Return the columns worth a chart: no counts, which saturate, and nothing that all rows share."""
    values = {
        column: [row.results[column].value for row in report.rows if column in row.results]
        for column in _varying_columns(report)
    }
    return {column for column, found in values.items() if not all(value.is_integer() for value in found)}


def _has_costs(report: Report) -> bool:
    """Return whether the table says what images cost: not if it is known of none."""
    return any(row.network_calls is not None for row in report.rows)


def _format_cell(row: Row, column: str) -> str:
    estimate = row.results.get(column)
    return "" if estimate is None else format_estimate(*estimate)
