"""The comparison as a table: a row for each sampler, the floor and pure noise apart, and the protocol below."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rich.console import Console
from rich.table import Table

from noisette import Report
from noisette.evaluation.report import ARROWS, BASELINE_LABELS, CellKey, caption, headers, row_cells

__all__ = ["comparison_table", "markdown"]

_WIDTH = 100


def comparison_table(
    report: Report, groups: Mapping[str, str] | None = None, best: Collection[CellKey] = ()
) -> Table:
    """Return the table of a report, for a terminal of 100 columns; a wider one has less space between its columns.

    Args:
        report: the report to show.
        groups: the group of each row by its label, with space between groups. By default all samplers are one.
        best: label and column of the results to highlight.
    """
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
    first, *others = headers(report)
    table.add_column(first, vertical="bottom", no_wrap=True)
    for header in others:
        table.add_column(_stacked(header), justify="right", vertical="bottom", no_wrap=True)
    before = None
    for row in report.rows:
        group = (groups or {}).get(row.label, row.kind)
        if before is not None and before != group:
            table.add_row()
        before = group
        texts = row_cells(report, row, best, "{} *" if best else "{}", "{}  " if best else "{}")
        table.add_row(*texts, style="dim" if row.kind in BASELINE_LABELS else "")
    table.collapse_padding = Console(width=2 * _WIDTH).measure(table).maximum > _WIDTH
    return table


def markdown(report: Report, best: Collection[CellKey] = ()) -> str:
    """Return the table in Markdown, the best results in bold, with the protocol and the notes below."""
    heads = headers(report)
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    lines += [list(row_cells(report, row, best, "**{}**")) for row in report.rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    below = "\n".join(f"- {line}" for line in [*caption(report), *report.notes])
    return f"{table}\n\n{below}\n"


def _stacked(header: str) -> str:
    """Return a header on two lines if it has several words; an arrow stays with the word before it."""
    words = header.split(" ")
    last = words[-2:] if words[-1] in ARROWS.values() else words[-1:]
    first = words[: -len(last)]
    return "\n".join(" ".join(line) for line in (first, last) if line)
