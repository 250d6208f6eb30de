from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from noisette import ConfigError, Experiment, Schedule
from noisette_plugins.schedules import (
    Constant,
    Cosine,
    Given,
    Linear,
    Quadratic,
    ScaledLinear,
    Sigmoid,
    ZeroTerminal,
)

ALL = [
    Linear(),
    Linear(scaled=False),
    Cosine(),
    Sigmoid(),
    Quadratic(),
    ScaledLinear(),
    Constant(),
    ZeroTerminal(),
    ZeroTerminal(of=Cosine()),
]


def squared(schedule: Schedule, timesteps: int = 1000) -> torch.Tensor:
    """Return alpha bar, (T,)."""
    return schedule.process(timesteps).alphas[:-1] ** 2


@pytest.mark.parametrize(
    ("schedule", "first", "middle", "last", "total"),
    [
        (Linear(), 0.9999, 0.07858724288, 4.035829765e-05, 10.05),
        (Cosine(), 0.9999587158, 0.4938435904, 2.428766907e-09, 12.4414964171),
        (Sigmoid(), 0.9996997208, 0.5, 3.002791997e-07, 8.67037962082),
        (Quadratic(), 0.9999, 0.3331877674, 7.334124596e-04, 7.17428599775),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_golden_numbers(schedule: Schedule, first: float, middle: float, last: float, total: float) -> None:
    """reference.md, section 3: recomputed in float64 from the formulas of the papers that the classes name."""
    bars = squared(schedule)
    assert [bars[t].item() for t in (0, 499, 999)] == pytest.approx([first, middle, last], rel=1e-9)
    assert schedule.betas(1000).sum().item() == pytest.approx(total, rel=1e-11)


def test_golden_cosine_details() -> None:
    """reference.md, section 3: exactly one beta is clipped."""
    betas = Cosine().betas(1000)
    assert betas[0].item() == pytest.approx(4.128422482e-05, rel=1e-9)
    assert (betas == 0.999).sum() == 1


def test_golden_zero_terminal_linear() -> None:
    """reference.md, section 3 (Lin et al. 2024, algorithm 1)."""
    schedule = ZeroTerminal()
    bars = squared(schedule)
    assert bars[499].item() == pytest.approx(0.07602875055, rel=1e-9)
    assert bars[0].item() == pytest.approx(0.9999, rel=1e-12)
    assert (schedule.betas(1000)[-1].item(), bars[-1].item()) == (1.0, 0.0)
    assert schedule.has_zero_terminal_snr


@pytest.mark.parametrize("schedule", ALL, ids=repr)
@pytest.mark.parametrize("timesteps", [2, 3, 50, 1000, 4000])
def test_noise_grows_and_signal_falls(schedule: Schedule, timesteps: int) -> None:
    betas = schedule.betas(timesteps)
    assert betas.shape == (timesteps,)
    assert betas.dtype == torch.float64
    assert (betas > 0).all()
    assert (betas[:-1] < 1).all()
    assert (betas[-1] == 1) == schedule.has_zero_terminal_snr
    assert (schedule.process(timesteps).snr.diff() < 0).all()
    assert torch.equal(betas, schedule.betas(timesteps))


def test_the_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    for schedule in ALL:
        schedule.betas(10)
    assert torch.equal(torch.random.get_rng_state(), before)


@given(st.integers(2, 400), st.floats(1e-5, 0.1), st.floats(1e-5, 0.1))
def test_a_line_ends_where_it_is_told(timesteps: int, start: float, end: float) -> None:
    for schedule in (Linear(start=start, end=end, scaled=False), Quadratic(start=start, end=end)):
        betas = schedule.betas(timesteps)
        assert (betas[0].item(), betas[-1].item()) == pytest.approx((start, end), rel=1e-12)


@pytest.mark.parametrize("timesteps", [100, 250, 1000, 4000])
def test_a_scaled_line_ends_in_the_same_noise_for_every_length(timesteps: int) -> None:
    assert Linear().betas(timesteps).sum().item() == pytest.approx(10.05, rel=1e-12)
    assert -math.log(squared(Linear(), timesteps)[-1].item()) == pytest.approx(10.05, rel=0.15)


def test_a_scaled_line_of_few_steps_stays_below_one() -> None:
    assert Linear().betas(10).max().item() == 0.999


def test_the_square_roots_of_the_quadratic_betas_are_a_line() -> None:
    for schedule in (Quadratic(), ScaledLinear()):
        assert schedule.betas(100).sqrt().diff().diff().abs().max() < 1e-12


@given(st.integers(2, 300), st.floats(1e-3, 0.5))
def test_the_cosine_is_the_papers(timesteps: int, s: float) -> None:
    """Nichol & Dhariwal 2021, eq. 17, up to the clipped end."""
    bars = squared(Cosine(s=s, max_beta=0.9999), timesteps)
    for t in range(timesteps - 1):
        signal = [math.cos((u / timesteps + s) / (1 + s) * math.pi / 2) ** 2 for u in (t + 1, 0)]
        assert bars[t].item() == pytest.approx(signal[0] / signal[1], rel=1e-9)


def test_the_sigmoid_is_even() -> None:
    """Around the middle, what is lost before is kept after."""
    bars = torch.cat([torch.ones(1, dtype=torch.float64), squared(Sigmoid())])[:-1]
    assert (bars[1:] + bars.flip(0)[:-1] - 1).abs().max() < 1e-6


def test_given_betas_are_taken_for_their_own_length_alone() -> None:
    config = {"name": "x", "dataset": "digits", "schedule": {"name": "given", "values": [0.1, 0.2]}}
    sampling = {"samplers": [{"name": "ddim", "steps": 2}]}
    assert Given(values=(0.1, 0.2)).betas(2).tolist() == [0.1, 0.2]
    assert Experiment.parse({**config, "timesteps": 2, "sampling": sampling}).timesteps == 2
    rescaled = {**config, "schedule": {"name": "zero-terminal", "of": config["schedule"]}, "objective": "v"}
    for wrong in (config, rescaled):
        with pytest.raises(ConfigError, match="timesteps: expected 2, the length of the schedule; got 3"):
            Experiment.parse({**wrong, "timesteps": 3, "sampling": sampling})


@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        (Linear, {"start": 0}),
        (Linear, {"end": 1}),
        (Cosine, {"s": 0}),
        (Cosine, {"max_beta": 1}),
        (Sigmoid, {"start": 3, "end": -3}),
        (Sigmoid, {"tau": 0}),
        (Sigmoid, {"start": float("-inf")}),
        (Constant, {"beta": 1}),
        (Given, {"values": ()}),
        (Given, {"values": (0.1, 1, 0.1)}),
        (Linear, {"stop": 1}),
    ],
)
def test_impossible_options_are_refused(schedule: type[Schedule], options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        schedule.model_validate(options)
