"""What metrics say of several sets, row by row: the columns of a table, and why something is missing in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from noisette.contracts import Estimate, Metric, Neighbours
    from noisette.evaluation.set_statistics import Comparison

__all__ = ["ResultTable"]


class ResultTable:
    """The columns of a table that grows by rows.

    Args:
        metrics: what is computed for every row, in the order of the columns.

    Attributes:
        neighbours: images of a row worth showing beside reference images, by its label.
    """

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics
        self._columns: dict[str, int] = {}
        self._rows: list[str] = []
        self._left_out: dict[tuple[str, str], list[str]] = {}
        self.neighbours: dict[str, list[Neighbours]] = {}

    def add(self, label: str, comparison: Comparison) -> dict[str, Estimate]:
        """Take in a row; return its results."""
        self._rows.append(label)
        self.neighbours[label] = comparison.neighbours
        self._columns = comparison.origin | self._columns
        for reason in comparison.left_out.items():
            self._left_out.setdefault(reason, []).append(label)
        return comparison.results

    @property
    def columns(self) -> list[str]:
        """Names of the results, in the order of the metrics."""
        return sorted(self._columns, key=lambda column: self._columns[column])

    @property
    def better(self) -> dict[str, str]:
        """ "lower", "higher" or "neither" for each column."""
        return {column: self._metrics[self._columns[column]].better for column in self.columns}

    def notes(self) -> list[str]:
        """Return which metrics were left out for which rows, and why."""
        lines = []
        for (name, reason), labels in self._left_out.items():
            where = "" if len(labels) == len(self._rows) else f" for {', '.join(labels)}"
            lines.append(f"{name} is left out{where}: {reason}")
        return lines
