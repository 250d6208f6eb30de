"""A report as text: one row a sampler, the floor and pure noise by their names, the protocol beneath.

Numbers are shown to the digits that their standard errors allow; what all rows share stands beneath the table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from noisette.evaluation.significance import LEVEL
from noisette.formatting import compact, measured

if TYPE_CHECKING:
    from noisette.evaluation.report import Report, Row

__all__ = ["APART", "ARROWS", "Mark", "caption", "cells", "headers", "short_header", "table", "telling", "verdicts"]

Mark = tuple[str, str]
"""The label of a row and a column: one result."""

APART = {"floor": "real, held out", "noise": "pure noise"}
"""What the rows are called that are no samplers, by their kind."""

_FID_FAMILY = ("fid", "kid", "fid_infinity", "inception_score")
"""Names that results bear over Inception alone."""

ARROWS = {"lower": "↓", "higher": "↑", "neither": "·"}


def table(report: Report) -> str:
    """Return a report as plain text: the table, how it was measured, and its notes."""
    rows = [headers(report), *(list(cells(report, row)) for row in report.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]).rstrip() for first, *others in rows
    ]
    return "\n".join([*lines, "", *caption(report), *(f"note: {note}" for note in report.notes)])


def headers(report: Report) -> list[str]:
    """Return the heads of the columns, each with an arrow to the better side."""
    features = str(report.protocol["features"])
    columns = [f"{short_header(column, features)} {ARROWS[report.better[column]]}" for column in _compared(report)]
    if not _costs(report):
        return ["pictures", *columns]
    return ["sampler", "steps", "calls", "s per picture", *columns]


def cells(
    report: Report, row: Row, best: Collection[Mark] = (), marked: str = "{}", others: str = "{}"
) -> Iterator[str]:
    """Yield the cells of a row; `marked` and `others` are the formats of the best results and of the rest."""
    yield APART.get(row.kind, row.label)
    if _costs(report):
        yield "" if row.steps is None else str(row.steps)
        yield "" if row.network_calls is None else str(row.network_calls)
        yield "" if row.seconds_per_picture is None else compact(row.seconds_per_picture, 3)
    for column in _compared(report):
        yield (marked if (row.label, column) in best else others).format(_shown(row, column))


def caption(report: Report) -> list[str]:
    """Return how the numbers were measured: what they are over, what was compared, what was drawn."""
    protocol = report.protocol
    features = str(protocol["features"])
    shared = [f"{short_header(column, features)} {_shown(report.rows[0], column)}" for column in _shared(report)]
    sets = _of_two(protocol) if "generated" in protocol else _of_samplers(protocol)
    return [*_over_features(report), sets, *shared, *_of_the_model(report), *_computed_by(protocol)]


def _over_features(report: Report) -> list[str]:
    """Return what the distances are over: the network, its hash, what it says of itself, how pictures reach it."""
    protocol = report.protocol
    features = str(protocol["features"])
    over = [short_header(column, features) for column in report.columns if _over(column, features)]
    known = [
        f"{key.removeprefix('features_').replace('_', ' ')} {value}"
        for key, value in protocol.items()
        if key.startswith("features_") and key != "features_package"
    ]
    weights = ", ".join([f"sha256 {protocol['weights_sha256'][:8]}", str(protocol["precision"]), *known])
    return (
        [f"{_listed(over)} over {features} ({weights}), pictures resized by {protocol['resize']}"] if over else []
    )


def _of_samplers(protocol: Mapping[str, Any]) -> str:
    reference = f"{protocol['reference_count']} of {protocol['dataset']} {protocol['reference_split']}"
    heldout = f"{protocol['heldout_count']} of {protocol['heldout_split']}"
    return (
        f"{protocol['generated_count']} pictures each against {reference}; held out: {heldout}; {_drawn(protocol)}"
    )


def _of_two(protocol: Mapping[str, Any]) -> str:
    """Return what two sets of pictures are."""
    reference = f"{protocol['reference']}" + (" of train" if protocol["reference_split"] == "train" else "")
    sets = f"{protocol['generated']}, against {protocol['dataset']}, {reference}"
    floor = f"held out: {protocol['heldout_count']} of {protocol['heldout_split']}, seed {protocol['floor_seed']}"
    drawn = [f"{protocol['samplers']}, {_drawn(protocol)}"] if "samplers" in protocol else []
    return "; ".join([sets, *([floor] if protocol["heldout_count"] else []), *drawn])


def _drawn(protocol: Mapping[str, Any]) -> str:
    return f"drawn at step {protocol['step']} with {_weighted(protocol['ema'])}, seed {protocol['seed']}"


def _computed_by(protocol: Mapping[str, Any]) -> list[str]:
    """Return the versions of what computed, and where; reports of older versions do not say it."""
    if "noisette" not in protocol:
        return []
    names = [f"{name} {protocol[name]}" for name in ("noisette", "torch", "python")]
    return [f"Computed by {', '.join(names)} on {protocol['device']}"]


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _weighted(ema: Any) -> str:
    """Return which weights drew the pictures, in words; several samples' are a text."""
    if isinstance(ema, bool):
        return "averaged weights" if ema else "weights not averaged"
    return f"weights averaged with decay {ema}" if isinstance(ema, float) else "mixed weights"


def _of_the_model(report: Report) -> list[str]:
    """Return what was found of the model itself, a line a metric: the parts of a result follow it in brackets."""
    lines: list[str] = []
    for name, estimate in report.model.items():
        whole = next((other for other in report.model if name.startswith(f"{other}_")), None)
        shown = f"{name.removeprefix(f'{whole}_').replace('_', ' ')} {measured(*estimate)}"
        if whole is None:
            lines.append(f"the model's {shown}")
        else:
            lines[-1] = f"{lines[-1][:-1]}, {shown})" if lines[-1].endswith(")") else f"{lines[-1]} ({shown})"
    return lines


def short_header(column: str, features: str) -> str:
    """Return a column's name without the features', which stand beneath the table: ``Frechet``, ``KID``."""
    name = column.removesuffix(f"_{features}").replace("_", " ")
    return name.upper() if len(name) <= 3 else name[0].upper() + name[1:]


def _over(column: str, features: str) -> bool:
    """Return whether a result is over the feature network: it bears its name, or is the FID family's."""
    return column.endswith(f"_{features}") or (features == "inception" and column in _FID_FAMILY)


def _shared(report: Report) -> list[str]:
    """Return the columns whose value is one and the same in every row: about the measuring, not the pictures."""
    values = {column: [row.results.get(column) for row in report.rows] for column in report.columns}
    return [column for column, found in values.items() if len(found) > 1 and len(set(found)) == 1]


def _compared(report: Report) -> list[str]:
    return [column for column in report.columns if column not in _shared(report)]


def telling(report: Report) -> set[str]:
    """Return the columns worth a chart: no counts, which saturate, and nothing that all rows share."""
    values = {
        column: [row.results[column].value for row in report.rows if column in row.results]
        for column in _compared(report)
    }
    return {column for column, found in values.items() if not all(value.is_integer() for value in found)}


def _costs(report: Report) -> bool:
    """Return whether the table says what pictures cost: not if it is known of none."""
    return any(row.network_calls is not None for row in report.rows)


def _shown(row: Row, column: str) -> str:
    estimate = row.results.get(column)
    return "" if estimate is None else measured(*estimate)


_LISTED = 6


def verdicts(report: Report) -> list[str]:
    """Return for each result which row is best, which are worse by more than the error, and which may be equal."""
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
        alike = [label for label, one in against.items() if not one["larger"]]
        said = [f"worse by more than the error: {_some(worse)}"] if worse else []
        said += [f"not told apart from it: {_some(alike)}"] if alike else []
        lines.append(f"{short_header(column, str(report.protocol['features']))}: best {best}; {'; '.join(said)}")
    if lines:
        lines.append(f"({report.details['test']}; level {LEVEL:g})")
    return lines


def _some(labels: list[str]) -> str:
    more = len(labels) - _LISTED
    return ", ".join(labels[:_LISTED]) + (f" and {more} more" if more > 0 else "")
