"""Markdown of results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["markdown", "ms", "times"]


def markdown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Return the lines of a table; its first column is aligned left, the others right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(map(str, row))} |" for row in (head, rule, *rows)]


def ms(value: float) -> str:
    """Return milliseconds with three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times(ratio: dict[str, Any] | None) -> str:
    """Return a ratio of 20th percentiles with its spread, and that of medians; empty for none."""
    if ratio is None:
        return ""
    low, high = ratio["spread"]
    return f"{ratio['p20']:.2f} ({low:.2f} - {high:.2f}); median {ratio['median']:.2f}"
