"""The chart of a sweep: quality against network calls and against seconds.

Each sampler has a colour, safe for colour blindness (Okabe & Ito 2008), and a marker; its variants differ in line
and filling. Figures are made without pyplot: no global state, no window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import cycle, islice
from math import ceil, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette.contracts import Sampler
from noisette.evaluation.report import Report, Row
from noisette.sampling.samples import check_comparable_timings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Series", "chart_columns", "draw_chart", "frontier", "label_without_steps", "series_of"]


@dataclass(frozen=True)
class Series:
    """One sampler at several numbers of steps.

    Attributes:
        name: the sampler's name; for several models, the model's.
        label: its name and every option that is not the default, such as ``ddpm variance=fixed-large``.
        options: its options without the steps.
        rows: its rows by number of steps, each with steps, network calls and seconds per image.
    """

    name: str
    label: str
    options: dict[str, Any]
    rows: list[Row]


def series_of(report: Report) -> list[Series]:
    """Return the samplers of a report in its order, with their rows by ascending number of steps."""
    by_label: dict[str, Series] = {}
    for row in report.rows:
        if row.kind == "sampler":
            options = dict(report.details["samplers"][row.label]["sampler"])
            name, steps = str(options.pop("name")), options.pop("steps")
            about = report.details["samplers"][row.label]
            label = _without_steps(str(about.get("label", row.label)), name, steps)
            if "model" in about:  # each model has a colour, and each of its samplers a line
                name, label = str(about["model"]), f"{about['model']}: {label}"
            by_label.setdefault(label, Series(name, label, options, [])).rows.append(row)
    return [replace(series, rows=sorted(series.rows, key=_steps)) for series in by_label.values()]


def frontier(report: Report) -> set[tuple[str, str]]:
    """Return (label, column) of each result that is not exceeded with as many network calls or fewer."""
    rows = [row for row in report.rows if row.network_calls is not None]
    best: set[tuple[str, str]] = set()
    for column in chart_columns(report):
        sign = 1 if report.better[column] == "lower" else -1
        points = [
            (row.network_calls or 0, sign * row.results[column].value, row.label)
            for row in rows
            if column in row.results
        ]
        for calls, value, label in points:
            if value <= min(other for other_calls, other, _ in points if other_calls <= calls):
                best.add((label, column))
    return best


def chart_columns(report: Report) -> list[str]:
    """Return the columns worth a chart: values that differ, with a better direction, and no counts."""
    rows = [row for row in report.rows if row.kind == "sampler"]
    values = {
        column: {row.results[column].value for row in rows if column in row.results} for column in report.columns
    }
    return [
        column
        for column, distinct in values.items()
        if len(distinct) > 1
        and report.better[column] != "neither"
        and not all(value.is_integer() for value in distinct)
    ]


def label_without_steps(sampler: Sampler) -> str:
    """Return the label of a sampler without its steps, such as ``ddpm variance=fixed-large``."""
    return _without_steps(sampler.label, sampler.name, sampler.steps)


def _without_steps(label: str, name: str, steps: int) -> str:
    # explicit timesteps may differ in number from `steps`; they are a separate series
    rest = label.removeprefix(f"{name}-{steps}")
    return label if rest == label else f"{name}{rest.replace('-', ' ', 1)}"


def _steps(row: Row) -> int:
    return row.steps or 0


_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
_LINES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
_STYLE: Any = {
    "font.size": 10,
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titleweight": "bold",
    "svg.hashsalt": "noisette",  # the same bytes each time
}
_FLOOR, _FLOOR_NAME = "#555555", "real, held out"


def draw_chart(report: Report, column: str, title: str, *targets: Path) -> None:
    """Draw the chart of one result of a report, with two panels.

    Args:
        report: the report of a sweep or a model comparison.
        column: the result.
        title: title of the chart.
        targets: files to write; their suffixes decide the formats.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(10, 4.8), dpi=150, layout="constrained")
        calls, seconds = figure.subplots(1, 2, sharey=True)
        for panel, cost in ((calls, "network_calls"), (seconds, "seconds_per_image")):
            for series, style in _assign_styles(series_of(report)):
                _curve(panel, series, column, cost, style)
            panel.set_xscale("log")
            panel.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
        _set_scale(calls, report, column)
        for panel in (calls, seconds):
            _floor(panel, report, column)
        calls.set_xlabel("network calls per image")
        incomparable = (
            ", not measured together: not comparable"
            if check_comparable_timings(report.details["samplers"])
            else ""
        )
        seconds.set_xlabel(f"seconds per image ({_machines(report)}{incomparable})")
        better = "lower" if report.better[column] == "lower" else "higher"
        calls.set_ylabel(f"{_axis_label(report, column)}  ({better} is better)")
        _format_numbers(calls.xaxis)
        _format_numbers(seconds.xaxis)
        low, high = seconds.get_xlim()
        if high < 10 * low:  # a narrow axis has many long numbers
            seconds.tick_params(axis="x", labelrotation=30)
        figure.legend(*_legend(calls), loc="outside right center", frameon=False, handlelength=3.2)
        figure.suptitle(f"{title}: {_images_per_point(report)}", fontsize=11)
        for target in targets:
            metadata = {"Date": None} if target.suffix == ".svg" else None
            figure.savefig(target, metadata=metadata, facecolor="white")


def _assign_styles(everything: list[Series]) -> list[tuple[Series, dict[str, Any]]]:
    """Return each series with its style; series of one name share colour and marker."""
    names = list(dict.fromkeys(series.name for series in everything))
    styles = dict(
        zip(
            names,
            zip(islice(cycle(_COLOURS), len(names)), islice(cycle(_MARKERS), len(names)), strict=True),
            strict=True,
        )
    )
    variants: dict[str, int] = dict.fromkeys(names, 0)
    styled = []
    for series in everything:
        (colour, marker), variant = styles[series.name], variants[series.name]
        filling = colour if variant % 2 == 0 else "white"
        line = _LINES[variant % len(_LINES)]
        styled.append((series, {"color": colour, "marker": marker, "linestyle": line, "markerfacecolor": filling}))
        variants[series.name] += 1
    return styled


def _curve(panel: Axes, series: Series, column: str, cost: str, style: dict[str, Any]) -> None:
    rows = [row for row in series.rows if column in row.results]
    x = [getattr(row, cost) for row in rows]
    y = [row.results[column].value for row in rows]
    errors = [row.results[column].stderr or 0.0 for row in rows]
    panel.errorbar(
        x,
        y,
        yerr=errors if any(errors) else None,
        label=series.label,
        markersize=5,
        linewidth=1.4,
        capsize=2,
        elinewidth=0.8,
        **style,
    )


def _set_scale(panel: Axes, report: Report, column: str) -> None:
    """Make the shared axis of a distance logarithmic if its range is large; shares and scores stay linear.

    If the smallest value is within twice its error of 0, the axis is linear up to there: on a logarithmic axis, a
    value that is close to 0 by chance would squeeze all others together.
    """
    if report.better[column] == "higher":
        return
    least = min((row.results[column] for row in _chart_rows(report, column)), key=lambda estimate: estimate.value)
    most, close = max(_values(report, column)), 2 * (least.stderr or 0.0)
    if least.value > close:
        if most > 5 * least.value:
            panel.set_yscale("log")
            _format_numbers(panel.yaxis)
        return
    linear = max(close, -least.value, most / 10_000)
    if most > 10 * linear:
        panel.set_yscale("symlog", linthresh=linear, linscale=0.6)
        powers = [10.0**power for power in range(ceil(log10(linear)), ceil(log10(most)) + 1)]
        panel.set_yticks([0.0, *powers, *(-power for power in powers if power <= -least.value)])
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _floor(panel: Axes, report: Report, column: str) -> None:
    for row in report.rows:
        if row.kind == "floor" and column in row.results:
            value, stderr = row.results[column]
            if stderr:
                panel.axhspan(value - stderr, value + stderr, color=_FLOOR, alpha=0.15, linewidth=0)
            panel.axhline(value, color=_FLOOR, linewidth=1.2, linestyle="--", label=_FLOOR_NAME)


def _legend(panel: Axes) -> tuple[list[Any], list[str]]:
    """Return handles and labels: the samplers in the table's order, then the floor."""
    handles, labels = panel.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda index: labels[index] == _FLOOR_NAME)
    return [handles[index] for index in order], [labels[index] for index in order]


def _format_numbers(axis: Any) -> None:
    """Label ticks as 5, 50, 1000 instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _chart_rows(report: Report, column: str) -> list[Row]:
    return [row for row in report.rows if row.kind != "noise" and column in row.results]


def _values(report: Report, column: str) -> list[float]:
    return [row.results[column].value for row in _chart_rows(report, column)]


def _axis_label(report: Report, column: str) -> str:
    """Return a result's name for the axis: ``KID over efficientnet-lite0``."""
    features = str(report.protocol["features"])
    bare = column.removesuffix(f"_{features}").replace("_", " ")
    name = bare.upper() if len(bare) <= 3 else bare[0].upper() + bare[1:]
    return name if bare == column.replace("_", " ") else f"{name} over {features}"


def _images_per_point(report: Report) -> str:
    return f"{report.protocol['generated_count']} images per point"


def _machines(report: Report) -> str:
    """Return the devices that generated the images: cpu, cuda or both."""
    return ", ".join(dict.fromkeys(str(about["device"]) for about in report.details["samplers"].values()))
