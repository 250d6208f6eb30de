"""The report of an evaluation: a table whose numbers carry their error, and how they were measured.

It is read from `report.json` without torch or numpy.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from noisette.contracts.metric import Curve, Estimate
from noisette.errors import StorageError
from noisette.evaluation.text import table
from noisette.storage import is_complete, verify

__all__ = ["CURVES", "REPORT", "Report", "Row"]

REPORT = "report.json"
CURVES = "curves.png"


@dataclass(frozen=True)
class Row:
    """One set of pictures compared with the reference.

    Attributes:
        kind: "floor" for real held-out pictures, "sampler", "pictures" of any other origin, or "noise".
        label: the sampler's label, where the pictures lie, or what the baseline is.
        steps, network_calls, seconds_per_picture: of a sampler; None for the others.
        results: estimates by column; a metric that could not be computed is missing.
    """

    kind: Literal["floor", "sampler", "pictures", "noise"]
    label: str
    steps: int | None = None
    network_calls: int | None = None
    seconds_per_picture: float | None = None
    results: dict[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A comparison of samplers, or of any pictures, with real ones.

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
        neighbours: names of the picture files that show some of a row's pictures beside the reference's nearest,
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
            rows = [_row(row) for row in content.pop("rows")]
            model = {name: Estimate(**result) for name, result in content.pop("model", {}).items()}
            curves = {
                name: [(x, Estimate(*y)) for x, y in curve] for name, curve in content.pop("curves", {}).items()
            }
            return cls(directory=directory, rows=rows, model=model, curves=curves, **content)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StorageError(f"{path}: expected a report of this version; it cannot be read: {error}") from None

    @property
    def picture_of_curves(self) -> Path | None:
        """The curves as a PNG file, or None where there are none."""
        return self.directory / CURVES if self.curves else None

    @property
    def pictures_of_neighbours(self) -> dict[str, Path]:
        """The files that show pictures beside the reference's nearest, by the row's label."""
        return {label: self.directory / name for label, name in self.neighbours.items()}

    def __str__(self) -> str:
        """Return the table as plain text, with how it was measured and the notes beneath."""
        return table(self)

    def write(self, directory: Path) -> None:
        """Write `report.json` into a directory."""
        content = {key: value for key, value in asdict(self).items() if key != "directory"}
        content["rows"] = [_json(row) for row in self.rows]
        content["model"] = {name: result._asdict() for name, result in self.model.items()}
        text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
        (directory / REPORT).write_text(text + "\n", encoding="utf-8")


def _json(row: Row) -> dict[str, Any]:
    return {**asdict(row), "results": {column: result.options() for column, result in row.results.items()}}


def _row(content: dict[str, Any]) -> Row:
    results = {column: Estimate(**result) for column, result in content.pop("results").items()}
    return Row(**content, results=results)
