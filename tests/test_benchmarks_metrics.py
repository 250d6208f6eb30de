"""The comparison of metrics with the public tools runs, and says where they are equal; no time is asserted."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def benchmarks() -> ModuleType:
    """Return the package, which lies beside the sources and is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        import benchmarks.metrics_equal
        import benchmarks.metrics_speed
        import benchmarks.report
    return benchmarks


@pytest.fixture(scope="module")
def rows(benchmarks: ModuleType) -> list[dict[str, Any]]:
    return benchmarks.metrics_equal.compare_all(quick=True)


_AGREED = [
    ("frechet", "more images than dimensions"),
    ("frechet", "fewer images"),
    ("frechet", "fewer images in both sets"),
    ("frechet", "constant and duplicated features"),
    ("frechet", "2 images"),
    ("kid", "whole sets"),
    ("kid", "a set and itself"),
    ("inception-score", "1 split"),
]


@pytest.mark.parametrize(("metric", "features"), _AGREED)
def test_values_are_those_of_the_public_tools(rows: list[dict[str, Any]], metric: str, features: str) -> None:
    found = [row for row in rows if (row["metric"], row["features"]) == (metric, features)]
    assert {"torch-fidelity", "torchmetrics"} <= {row["tool"] for row in found}
    for row in found:
        assert row["ours"][0] == pytest.approx(row["theirs"], rel=1e-6), row["tool"]


def test_precision_and_recall_are_those_of_the_public_tools(rows: list[dict[str, Any]]) -> None:
    found = [row for row in rows if row["metric"] in ("precision", "recall")]
    assert len(found) >= 6
    assert all(row["ours"][0] == pytest.approx(row["theirs"], rel=1e-6) for row in found)


def test_one_image_is_refused_and_nothing_is_nan(rows: list[dict[str, Any]]) -> None:
    one = [row for row in rows if row["features"] == "1 image"]
    assert all("at least 2 judged images" in row["ours"] for row in one)
    assert len(one) >= 2
    own = [value for row in rows if not isinstance(row["ours"], str) for value in row["ours"]]
    assert all(value == value and value is not None for value in own)


def test_the_table_tells_equal_values_from_others(benchmarks: ModuleType) -> None:
    shared = {"metric": "m", "features": "f", "deviation": 0.5}
    found = [
        {**shared, "tool": "same", "ours": [1.0, 0.1], "theirs": 1.0 + 1e-8},
        {**shared, "tool": "nothing", "ours": [0.0, 0.0], "theirs": 1e-13},
        {**shared, "tool": "other", "ours": [1.0, 0.1], "theirs": 1.1},
        {**shared, "tool": "refusing", "ours": "too few", "theirs": 1.1},
    ]
    lines = benchmarks.metrics_equal.table(found)
    parted = lines.index("Different values:")
    where = {row["tool"]: next(at for at, line in enumerate(lines) if row["tool"] in line) for row in found}
    assert max(where["same"], where["nothing"]) < parted < min(where["other"], where["refusing"])


def test_a_page_has_its_own_measurements(benchmarks: ModuleType) -> None:
    report = benchmarks.report
    machine = {
        "gpu": None,
        "processor": "p",
        "cores": 2,
        "bf16": "none",
        "versions": {},
        "python": "3",
        "threads": 1,
    }
    speed = {"images": 3, "dimensions": 4, "kid": {"times": {}, "ratios": {}}}
    network = {"images": 1, "times": {}, "ratios": {}, "apart": {}, "moved": {}}
    ratio = {"p20": 2.0, "median": 2.0, "spread": [1.0, 3.0]}
    run = {
        "machine": {**machine, "date": "then"},
        "measurements": {
            "metrics-speed": {"result": speed, "load": 1.0, "date": "now"},
            "metrics-network": {"result": network, "load": 1.0, "date": "now"},
        },
    }
    speed["kid"]["ratios"] = {"torchmetrics": ratio}
    page = report.page(run, "metrics.md")
    assert "Measured now on p" in page
    assert "| KID, relative to torchmetrics | at least 3.0x | 2.0x | **missed** |" in page
    assert "## Speed" not in report.page(run, "benchmarks.md")
