from __future__ import annotations

import pytest
import torch

from noisette.figures import default_schedules, label_schedules
from noisette.figures.forward import noise_at_timesteps, noise_step_by_step
from noisette_plugins.schedules import Cosine, Linear, Sigmoid


def test_every_schedule_that_needs_no_option_is_ready_under_its_name() -> None:
    rows = label_schedules(default_schedules())
    assert list(rows) == [schedule.name for schedule in rows.values()]
    assert {"linear", "cosine", "sigmoid", "zero-terminal"} <= set(rows)
    assert "given" not in rows  # needs betas


def test_rows_say_what_was_given_and_differs() -> None:
    assert list(label_schedules([Linear(), Linear(end=0.03), Sigmoid(tau=0.5), Cosine(s=Cosine().s)])) == [
        "linear",
        "linear end=0.03",
        "sigmoid tau=0.5",
        "cosine",
    ]


@pytest.mark.parametrize("add_noise", [noise_step_by_step, noise_at_timesteps])
def test_the_chain_and_the_closed_form_have_the_same_mean_and_variance(add_noise) -> None:
    process = Linear().process(200)
    at = [0, 30, 199]
    states = add_noise(torch.full((1, 1, 200, 200), 0.5), process, at, seed=3)[0]
    for t, state in zip(at, states, strict=True):
        alpha, sigma = process(t)
        assert state.mean().item() == pytest.approx(0.5 * alpha, abs=4 * sigma / 200)
        assert state.std().item() == pytest.approx(sigma, rel=0.015)


def test_the_chain_adds_its_noise_to_the_state_before() -> None:
    process = Linear().process(200)
    ends = noise_step_by_step(torch.zeros(1, 1, 100, 100), process, [198, 199], seed=3)[0]
    apart = noise_step_by_step(torch.zeros(1, 1, 100, 100), process, [10, 199], seed=3)[0]
    assert torch.corrcoef(ends.flatten(1))[0, 1] > 0.9
    assert abs(torch.corrcoef(apart.flatten(1))[0, 1]) < 0.1  # the control
    assert torch.equal(ends[1], apart[1])
