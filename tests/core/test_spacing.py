from __future__ import annotations

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisette.diffusion.spacing import CLEAN, Spacing, descending

NAMES = get_args(get_args(Spacing)[0])


@pytest.mark.parametrize(
    ("spacing", "steps"),
    [
        ("linspace", [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]),
        ("leading", [900, 800, 700, 600, 500, 400, 300, 200, 100, 0]),
        ("trailing", [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]),
        ("quadratic", [800, 632, 483, 355, 246, 158, 88, 39, 9, 0]),
    ],
)
def test_ten_of_a_thousand_are_the_published_ones(spacing: Spacing, steps: list[int]) -> None:
    """reference.md, section 3: recomputed from the papers named in `descending`."""
    assert descending(1000, 10, spacing) == [*steps, CLEAN]


def holds(timesteps: int, steps: int, spacing: Spacing) -> bool:
    *walk, last = descending(timesteps, steps, spacing)
    falls = all(t > s for t, s in pairwise(walk))
    return last == CLEAN and len(walk) == steps and falls and 0 <= walk[-1] <= walk[0] < timesteps


def test_there_are_four_named_spacings() -> None:
    assert NAMES == ("linspace", "leading", "trailing", "quadratic")


@pytest.mark.parametrize("spacing", NAMES)
@pytest.mark.parametrize("timesteps", [*range(1, 41), 100, 127])
def test_every_number_of_steps_gives_a_walk_of_that_length(timesteps: int, spacing: Spacing) -> None:
    assert all(holds(timesteps, steps, spacing) for steps in range(1, timesteps + 1))


@given(st.data(), st.integers(1, 5000), st.sampled_from(NAMES))
def test_longer_processes_too(data: st.DataObject, timesteps: int, spacing: Spacing) -> None:
    assert holds(timesteps, data.draw(st.integers(1, timesteps)), spacing)


@pytest.mark.parametrize("spacing", NAMES)
def test_all_steps_are_all_steps(spacing: Spacing) -> None:
    assert descending(50, 50, spacing) == list(range(49, -2, -1))


@given(st.data(), st.integers(2, 3000))
def test_the_ends_are_where_each_spacing_says(data: st.DataObject, timesteps: int) -> None:
    steps = data.draw(st.integers(2, timesteps))
    assert descending(timesteps, steps, "linspace")[0] == timesteps - 1
    assert descending(timesteps, steps, "linspace")[-2] == 0
    assert descending(timesteps, steps, "trailing")[0] == timesteps - 1
    assert descending(timesteps, steps, "leading")[-2] == 0


@given(st.data(), st.integers(1, 2000))
def test_trailing_rounds_as_the_paper_does(data: st.DataObject, timesteps: int) -> None:
    """Lin et al. 2024, Table 2: round(flip(arange(T, 0, -T/N))) - 1, half to even."""
    steps = data.draw(st.integers(1, timesteps))
    exact = timesteps - np.arange(steps) * timesteps / steps
    assert descending(timesteps, steps, "trailing")[:-1] == (np.round(exact).astype(int) - 1).tolist()


def test_given_steps_are_taken_as_they_are() -> None:
    assert descending(1000, 50, (999, 500, 3)) == [999, 500, 3, CLEAN]
    assert descending(1000, 50, (0,)) == [0, CLEAN]


@pytest.mark.parametrize("given_steps", [(), (3, 3), (3, 5), (1000, 3), (3, -1), (5, 4, 3, 3)])
def test_given_steps_must_descend_within_the_process(given_steps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"spacing: expected descending steps within \[0, 1000\); got "):
        descending(1000, 50, given_steps)


@pytest.mark.parametrize("spacing", NAMES)
@pytest.mark.parametrize("steps", [0, -1, 11])
def test_more_steps_than_were_trained_are_refused(steps: int, spacing: Spacing) -> None:
    with pytest.raises(ValueError, match=f"steps: expected 1 to 10, the trained ones; got {steps}"):
        descending(10, steps, spacing)
