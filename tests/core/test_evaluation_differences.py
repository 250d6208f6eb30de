from __future__ import annotations

from math import erfc, sqrt
from pathlib import Path

import numpy as np
import pytest

from noisette import Estimate, Report
from noisette.evaluation import Row
from noisette.evaluation.significance import differences, holm_correction


def report(better: str = "lower", **values: Estimate) -> Report:
    rows = [Row("sampler", label, results={"kid": estimate}) for label, estimate in values.items()]
    floor = Row("floor", "held-out", results={"kid": Estimate(-5.0, 0.1)})
    return Report(Path(), [floor, *rows, Row("noise", "noise")], ["kid"], {"kid": better}, {}, {}, [])


def test_holm_is_that_of_the_textbook() -> None:
    assert holm_correction([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm_correction([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm_correction([]) == []


def test_holm_equals_statsmodels_definition_on_random_values() -> None:
    generator = np.random.default_rng(0)
    for count in (1, 2, 7, 30):
        values = generator.random(count) ** 3
        order = np.argsort(values)
        expected = np.empty(count)
        expected[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(count, 0, -1)))
        assert holm_correction(values.tolist()) == pytest.approx(expected.tolist())


def test_a_difference_of_three_errors_is_told_and_one_of_one_is_not() -> None:
    near, far = Estimate(1.0, 0.1), Estimate(1.0 + 3 * 0.1 * sqrt(2), 0.1)
    [found] = differences(report(a=near, b=far))
    assert (found.larger, found.better) == (True, "a")
    assert found.p == pytest.approx(erfc(3 / sqrt(2)))
    assert found.difference == pytest.approx(-3 * 0.1 * sqrt(2))
    assert differences(report("higher", a=near, b=far))[0].better == "b"
    [neither] = differences(report("neither", a=near, b=far))
    assert (neither.larger, neither.better) == (True, None)
    [alike] = differences(report(a=near, b=Estimate(1.1, 0.1)))
    assert (alike.larger, alike.better) == (False, None)


def test_many_pairs_are_corrected() -> None:
    one = Estimate(1.0, 0.1), Estimate(1.0 + 2.2 * 0.1 * sqrt(2), 0.1)
    assert differences(report(a=one[0], b=one[1]))[0].larger
    among = differences(report(a=one[0], b=one[1], c=one[0], d=one[0], e=one[0]))
    assert len(among) == 10
    assert not any(found.larger for found in among)


def test_chance_is_seldom_called_a_difference() -> None:
    """Ten equal rows with their true errors: in at most one of twenty tables is there any difference."""
    generator, called = np.random.default_rng(0), 0
    for _ in range(200):
        values = {f"row{i}": Estimate(float(generator.normal()), 1.0) for i in range(10)}
        called += any(found.larger for found in differences(report(**values)))
    assert called <= 18  # 10 expected at most, and nearly 3 of their standard deviations


def test_what_has_no_error_is_not_tested_and_baselines_are_not_rows() -> None:
    assert differences(report(a=Estimate(1.0), b=Estimate(9.0, 0.1))) == []
    assert {found.second for found in differences(report(a=Estimate(1.0, 0.1), b=Estimate(2.0, 0.1)))} == {"b"}
    exact = differences(report(a=Estimate(1.0, 0.0), b=Estimate(1.0, 0.0), c=Estimate(2.0, 0.0)))
    assert [found.larger for found in exact] == [False, True, True]
