"""What is sent to Prefect's pages: less and less often, as each time leaves an event in its database."""

from __future__ import annotations

import pytest

from noisette_flows.artifacts import send_interval


@pytest.mark.parametrize(("age", "seconds"), [(0, 2), (120, 2), (600, 10), (86_400, 30)])
def test_a_long_run_is_told_of_less_often(age: float, seconds: float) -> None:
    assert send_interval(age, 2.0) == seconds
