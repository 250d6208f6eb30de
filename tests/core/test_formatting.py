from __future__ import annotations

import math

import pytest

from noisette.formatting import format_duration, format_estimate, format_number, format_rate


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (153.2479, "153.2"),
        (0.0031416, "0.003142"),
        (1.0, "1.000"),
        (12345.6, "12346"),
        (0.0, "0"),
        (1.234e-7, "1.2e-07"),
        (-0.0031416, "-0.003142"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_compact_keeps_four_significant_digits(value: float, shown: str) -> None:
    assert format_number(value) == shown


@pytest.mark.parametrize(
    ("value", "stderr", "shown"),
    [
        (0.012345, 0.00081, "0.0123 ± 0.0008"),
        (0.012345, 0.0012, "0.0123 ± 0.0012"),
        (-0.00012, 0.0007, "-0.0001 ± 0.0007"),
        (151.27, 3.4, "151 ± 3"),
        (151.27, 1.4, "151.3 ± 1.4"),
        (1512.7, 34.0, "1513 ± 34"),
        (0.5, None, "0.5000"),
        (0.5, 0.0, "0.5000"),
        (0.5, math.nan, "0.5000"),
        (10.0, None, "10"),
        (10.0, 0.5, "10.0 ± 0.5"),
    ],
)
def test_a_measured_value_has_the_digits_its_error_allows(value: float, stderr: float | None, shown: str) -> None:
    assert format_estimate(value, stderr) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (750, "12:30"), (11100, "3:05:00")]
)
def test_duration(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown


def test_rates_below_one_are_turned_round() -> None:
    assert format_rate(8.13, "steps") == "8.1 steps/s"
    assert format_rate(0.25, "steps") == "4.0 s/step"
    assert format_rate(0.25, "images") == "4.0 s/image"
