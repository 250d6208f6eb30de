from __future__ import annotations

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisette import Schedule
from noisette.diffusion.spacing import CLEAN, Spacing, space_timesteps
from noisette_plugins.schedules import Linear, ZeroTerminal

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
    """reference.md, section 3: recomputed from the papers named in `space_timesteps`."""
    assert space_timesteps(1000, 10, spacing) == [*steps, CLEAN]


def rising(timesteps: int) -> list[float]:
    """Return ratios that rise from 0.01 to 100, with steps of all sizes."""
    return [0.01 * 1e4 ** ((t + 0.5) / timesteps) ** 2 for t in range(timesteps)]


def holds(timesteps: int, steps: int, spacing: Spacing) -> bool:
    *walk, last = space_timesteps(timesteps, steps, spacing, rising(timesteps))
    falls = all(t > s for t, s in pairwise(walk))
    return last == CLEAN and len(walk) == steps and falls and 0 <= walk[-1] <= walk[0] < timesteps


def test_there_are_five_named_spacings() -> None:
    assert NAMES == ("linspace", "leading", "trailing", "quadratic", "karras")


@pytest.mark.parametrize("schedule", [Linear(), ZeroTerminal()])
def test_karras_is_a_line_in_the_seventh_root_of_sigma(schedule: Schedule) -> None:
    """Karras et al. 2022, eq. 5, with sigma / alpha for their sigma, at the nearest trained steps."""
    process = schedule.process(1000)
    sigmas = (process.sigmas / process.alphas)[:-1].numpy()
    top = 999 if np.isfinite(sigmas[999]) else 998
    count = 12 - (999 - top)
    wanted = (
        sigmas[top] ** (1 / 7) + np.arange(count) / (count - 1) * (sigmas[0] ** (1 / 7) - sigmas[top] ** (1 / 7))
    ) ** 7
    nearest = [int(np.abs(np.log(sigmas[: top + 1] / sigma)).argmin()) for sigma in wanted]
    assert process.timesteps(12, "karras") == [*range(999, top, -1), *nearest, CLEAN]
    assert process.truncate(300).timesteps(12, "karras")[0] == 300
    with pytest.raises(ValueError, match="karras needs the ratios"):
        space_timesteps(1000, 12, "karras")


@pytest.mark.parametrize("spacing", NAMES)
@pytest.mark.parametrize("timesteps", [*range(1, 41), 100, 127])
def test_every_number_of_steps_gives_a_walk_of_that_length(timesteps: int, spacing: Spacing) -> None:
    assert all(holds(timesteps, steps, spacing) for steps in range(1, timesteps + 1))


@given(st.data(), st.integers(1, 5000), st.sampled_from(NAMES))
def test_longer_processes_too(data: st.DataObject, timesteps: int, spacing: Spacing) -> None:
    assert holds(timesteps, data.draw(st.integers(1, timesteps)), spacing)


@pytest.mark.parametrize("spacing", NAMES)
def test_all_steps_are_all_steps(spacing: Spacing) -> None:
    assert space_timesteps(50, 50, spacing, rising(50)) == list(range(49, -2, -1))


@given(st.data(), st.integers(2, 3000))
def test_the_ends_are_where_each_spacing_says(data: st.DataObject, timesteps: int) -> None:
    steps = data.draw(st.integers(2, timesteps))
    assert space_timesteps(timesteps, steps, "linspace")[0] == timesteps - 1
    assert space_timesteps(timesteps, steps, "linspace")[-2] == 0
    assert space_timesteps(timesteps, steps, "trailing")[0] == timesteps - 1
    assert space_timesteps(timesteps, steps, "leading")[-2] == 0


@given(st.data(), st.integers(1, 2000))
def test_trailing_rounds_as_the_paper_does(data: st.DataObject, timesteps: int) -> None:
    """Lin et al. 2024, Table 2: round(flip(arange(T, 0, -T/N))) - 1, half to even."""
    steps = data.draw(st.integers(1, timesteps))
    exact = timesteps - np.arange(steps) * timesteps / steps
    assert space_timesteps(timesteps, steps, "trailing")[:-1] == (np.round(exact).astype(int) - 1).tolist()


@pytest.mark.parametrize("spacing", NAMES)
@pytest.mark.parametrize("timesteps", [1, 2, 50, 1000])
def test_a_single_step_begins_where_the_noise_is(spacing: Spacing, timesteps: int) -> None:
    assert space_timesteps(timesteps, 1, spacing, rising(timesteps)) == [timesteps - 1, CLEAN]


def test_given_steps_are_taken_as_they_are() -> None:
    assert space_timesteps(1000, 50, (999, 500, 3)) == [999, 500, 3, CLEAN]
    assert space_timesteps(1000, 50, (0,)) == [0, CLEAN]


@pytest.mark.parametrize("given_steps", [(), (3, 3), (3, 5), (1000, 3), (3, -1), (5, 4, 3, 3)])
def test_given_steps_must_descend_within_the_process(given_steps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"spacing: expected descending timesteps within \[0, 1000\); got "):
        space_timesteps(1000, 50, given_steps)


@pytest.mark.parametrize("spacing", NAMES)
@pytest.mark.parametrize("steps", [0, -1, 11])
def test_more_steps_than_were_trained_are_refused(steps: int, spacing: Spacing) -> None:
    with pytest.raises(ValueError, match=f"steps: expected 1 to 10, the trained timesteps; got {steps}"):
        space_timesteps(10, steps, spacing)
