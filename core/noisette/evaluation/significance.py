"""Significance tests for the differences between the rows of a report.

Results a and b with standard errors s_a and s_b are compared by a two-sided z test,
z = (a - b) / sqrt(s_a^2 + s_b^2 - 2 c), where c is the covariance due to the shared reference (`Estimate.shared`).
The p values of all pairs of a column are corrected after Holm (1979), which bounds the probability of any false
positive in the column. For metrics that do not report the contribution of the reference, c is 0, which makes the
test conservative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import erfc, sqrt
from typing import TYPE_CHECKING, Any

from noisette.evaluation.report import Report, Row, short_header

if TYPE_CHECKING:
    from noisette.contracts import Estimate

__all__ = ["LEVEL", "METHOD", "Difference", "differences", "holm_correction", "verdicts"]

LEVEL = 0.05
"""Significance level of the corrected p values."""

METHOD = (
    "two-sided z test on the standard errors, less what the results share of the reference, "
    "p values corrected after Holm over all pairs of a result"
)


@dataclass(frozen=True)
class Difference:
    """Comparison of two rows in one column.

    Attributes:
        column: name of the result.
        first, second: labels of the rows.
        difference: the first value minus the second.
        stderr: standard error of the difference.
        p: p value, corrected for the number of pairs.
        larger: whether the difference is larger than its error, `p` < `LEVEL`.
        better: label of the better row; None if `larger` is False or the result has no better direction.
    """

    column: str
    first: str
    second: str
    difference: float
    stderr: float
    p: float
    larger: bool
    better: str | None

    def options(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def differences(report: Report) -> list[Difference]:
    """Return the comparisons of all pairs of samplers and image sets with known errors, column by column."""
    found: list[Difference] = []
    for column in report.columns:
        known = [row for row in report.rows if row.kind in ("sampler", "images") and _has_error(row, column)]
        pairs = list(combinations(known, 2))
        corrected = holm_correction(
            [_p_value(*_difference_and_stderr(first, second, column)) for first, second in pairs]
        )
        better = report.better[column]
        found += [_test_pair(*pair, column, p, better) for pair, p in zip(pairs, corrected, strict=True)]
    return found


def holm_correction(values: Sequence[float]) -> list[float]:
    """Return n p values corrected after Holm: the k-th smallest times n - k + 1, made monotonic, at most 1."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    corrected, largest = [0.0] * len(values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, values[index] * (len(values) - rank)))
        corrected[index] = largest
    return corrected


def _has_error(row: Row, column: str) -> bool:
    return column in row.results and row.results[column].stderr is not None


def stderr_of_difference(a: Estimate, b: Estimate) -> float:
    """Return the standard error of the difference of two results with known errors and the same reference."""
    known = len(a.shared) == len(b.shared)
    common = sum(x * y for x, y in zip(a.shared, b.shared, strict=True)) if known else 0.0
    return sqrt(max(0.0, (a.stderr or 0.0) ** 2 + (b.stderr or 0.0) ** 2 - 2 * common))


def _difference_and_stderr(first: Row, second: Row, column: str) -> tuple[float, float]:
    a, b = first.results[column], second.results[column]
    return a.value - b.value, stderr_of_difference(a, b)


def _p_value(difference: float, stderr: float) -> float:
    if stderr == 0:
        return 1.0 if difference == 0 else 0.0
    return erfc(abs(difference) / stderr / sqrt(2))


def _test_pair(first: Row, second: Row, column: str, p: float, better: str) -> Difference:
    difference, stderr = _difference_and_stderr(first, second, column)
    larger = p < LEVEL
    low, high = (first.label, second.label) if difference < 0 else (second.label, first.label)
    winner = {"lower": low, "higher": high}.get(better) if larger else None
    return Difference(column, first.label, second.label, difference, stderr, p, larger, winner)


_LISTED = 6


def verdicts(report: Report) -> list[str]:
    """Return one line per result: the best row, the rows worse by more than the error, and possible ties."""
    lines = []
    for column in report.columns:
        pairs = [one for one in report.details["differences"] if one["column"] == column]
        if not pairs or report.better[column] not in ("lower", "higher"):
            continue
        rows = list(dict.fromkeys(label for one in pairs for label in (one["first"], one["second"])))
        values = {row.label: row.results[column].value for row in report.rows if column in row.results}
        best = (min if report.better[column] == "lower" else max)(rows, key=lambda label: values[label])
        against = {
            ({one["first"], one["second"]} - {best}).pop(): one
            for one in pairs
            if best in (one["first"], one["second"])
        }
        worse = [f"{label} (p {one['p']:.2g})" for label, one in against.items() if one["larger"]]
        equal = [label for label, one in against.items() if not one["larger"]]
        parts = [f"worse by more than the error: {_list_some(worse)}"] if worse else []
        parts += [f"not told apart from it: {_list_some(equal)}"] if equal else []
        lines.append(f"{short_header(column, str(report.protocol['features']))}: best {best}; {'; '.join(parts)}")
    if lines:
        lines.append(f"({report.details['test']}; level {LEVEL:g})")
    return lines


def _list_some(labels: list[str]) -> str:
    more = len(labels) - _LISTED
    return ", ".join(labels[:_LISTED]) + (f" and {more} more" if more > 0 else "")
