from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from support.fake_reports import make_fake_report

from noisette import Estimate, Report
from noisette.comparison import frontier, series_of
from noisette.comparison.chart import chart_columns, draw_chart


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return make_fake_report(tmp_path)


def drawn(report: Report, column: str, folder: Path) -> tuple[Path, str]:
    """Return the PNG, and all that is written in the SVG."""
    png, svg = folder / "chart.png", folder / "chart.svg"
    draw_chart(report, column, "a title", png, svg)
    return png, " ".join(re.findall(r"<!-- (.*?) -->", svg.read_text(encoding="utf-8")))


def test_series_are_the_samplers_by_rising_steps(report: Report) -> None:
    shuffled = replace(report, rows=report.rows[::-1])
    for series in (series_of(report), series_of(shuffled)[::-1]):
        assert [one.label for one in series] == ["ddim", "ddpm", "ddpm variance=fixed-large", "heun"]
        assert [[row.steps for row in one.rows] for one in series] == [[5, 10, 50]] * 4
        assert [row.network_calls for row in series[3].rows] == [9, 19, 99]


def test_best_is_what_no_other_betters_with_as_few_calls(report: Report) -> None:
    best = frontier(report)
    assert {label for label, column in best if column == "fid"} == {"ddim-5", "ddim-10", "ddim-50"}
    heun = next(row for row in report.rows if row.label == "heun-10")  # 19 calls
    heun.results["fid"] = Estimate(3.0)
    assert ("heun-10", "fid") in frontier(report)
    assert ("ddim-50", "fid") not in frontier(report)  # 4 at 50 calls
    heun.results["kid"] = Estimate(9.0)
    assert ("heun-10", "kid") not in frontier(report)


def test_a_higher_score_is_better_where_the_metric_says_so(report: Report) -> None:
    turned = replace(report, better={**report.better, "fid": "higher"})
    assert ("ddim-5", "fid") not in frontier(turned)
    assert ("ddpm-5-variance=fixed-large", "fid") in frontier(turned)


def test_counts_and_what_all_share_get_no_chart_and_no_mark(report: Report) -> None:
    assert chart_columns(report) == ["fid", "kid"]
    assert not [label for label, column in frontier(report) if column == "classes"]


@pytest.mark.parametrize("column", ["fid", "kid"])
def test_the_chart_is_a_image_with_every_sampler_in_it(report: Report, tmp_path: Path, column: str) -> None:
    png, words = drawn(report, column, tmp_path)
    with Image.open(png) as image:
        image.load()
        assert image.format == "PNG"
        assert image.width > 1000
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50
    for label in ("ddim", "ddpm", "ddpm variance=fixed-large", "heun", "real, held out", "network calls per image"):
        assert label in words, label
    assert "seconds per image (cpu)" in words
    assert f"{column.upper()}  (lower is better)" in words
    assert "a title: 500 images per point" in words


@pytest.mark.parametrize(
    ("floor", "scale"),
    [(Estimate(1e-7, 2e-4), "symlog"), (Estimate(-1e-4, 2e-4), "symlog"), (Estimate(3e-3, 2e-4), "log")],
)
def test_a_floor_that_is_near_zero_by_luck_does_not_squeeze_the_chart(
    report: Report, floor: Estimate, scale: str
) -> None:
    from matplotlib.figure import Figure

    from noisette.comparison.chart import _set_scale

    for row in report.rows:
        if "kid" in row.results:
            row.results["kid"] = floor if row.kind == "floor" else Estimate(row.results["kid"].value, 1e-4)
    panel = Figure().subplots()
    for row in report.rows:
        if "kid" in row.results:
            panel.plot([1.0], [row.results["kid"].value], "o")
    _set_scale(panel, report, "kid")
    assert panel.get_yscale() == scale
    heights = [panel.transAxes.inverted().transform(panel.transData.transform((1, y)))[1] for y in (1e-3, 0.04)]
    assert heights[1] - heights[0] > 0.3  # what samplers reach takes up a good part of the height


def test_a_sampler_that_is_not_there_is_not_in_the_chart(report: Report, tmp_path: Path) -> None:
    fewer = replace(report, rows=[row for row in report.rows if not row.label.startswith("heun")])
    _, words = drawn(fewer, "fid", tmp_path)
    assert "ddim" in words
    assert "heun" not in words


def test_a_walk_without_the_result_is_left_out(report: Report, tmp_path: Path) -> None:
    for row in report.rows:
        if row.label in ("ddim-5", "heun-5", "heun-10", "heun-50"):
            row.results.pop("fid")
    drawn(report, "fid", tmp_path)


def test_the_same_report_gives_the_same_bytes(report: Report, tmp_path: Path) -> None:
    drawn(report, "kid", tmp_path)
    first = [(tmp_path / f"chart.{ending}").read_bytes() for ending in ("png", "svg")]
    drawn(report, "kid", tmp_path)
    assert [(tmp_path / f"chart.{ending}").read_bytes() for ending in ("png", "svg")] == first
    drawn(report, "fid", tmp_path)
    assert (tmp_path / "chart.png").read_bytes() != first[0]


def test_colours_stay_apart_for_more_samplers_than_there_are_colours(report: Report) -> None:
    from noisette.comparison.chart import _assign_styles

    many = [replace(one, name=f"{one.name}{i}") for i in range(3) for one in series_of(report)]
    styles = [str(sorted(style.items())) for _, style in _assign_styles(many)]
    assert len(set(styles)) == len(styles) == 12


def test_reading_a_sweep_needs_neither_torch_nor_matplotlib() -> None:
    code = "import sys, noisette.comparison.chart; print([m for m in sys.modules if m in sys.argv])"
    done = subprocess.run(
        [sys.executable, "-c", code, "torch", "numpy", "matplotlib"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
