"""DDPM and DDIM on data whose denoiser is known, and the mistakes that public implementations made."""

from __future__ import annotations

from itertools import pairwise
from math import log2, sqrt

import pytest
import torch
from torch import Tensor

from noisette import Denoiser, Noise, Prediction, Process, Sampler
from noisette.model.model import count_network_calls
from noisette_plugins.samplers import DDIM, DDPM, PNDM, DPMSolverPP, Heun, UniPC
from noisette_plugins.schedules import Cosine, Linear, ZeroTerminal

MEAN, DEVIATION = 0.4, 0.3


class Gaussian(Denoiser):
    """The exact denoiser of pixels ~ N(0.4, 0.3²): the mean of x0 given x_t."""

    def __init__(self, process: Process) -> None:
        self.process, self.calls = process, []

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        self.calls.append((t, x_t.clone()))
        alpha, sigma = self.process(t)
        gain = alpha * DEVIATION**2 / (alpha**2 * DEVIATION**2 + sigma**2)
        return Prediction(x_t, alpha, sigma, x0=MEAN + gain * (x_t - alpha * MEAN))


class Counting:
    """A source of noise that counts its draws and keeps them."""

    def __init__(self, shape: tuple[int, ...], seed: int = 1) -> None:
        self.noise = Noise(seed, range(shape[0]), shape[1:], dtype=torch.float64)
        self.draws: list[Tensor] = []

    def __call__(self) -> Tensor:
        self.draws.append(self.noise())
        return self.draws[-1]


def record_states(
    sampler: Sampler, process: Process, shape: tuple[int, ...] = (4, 1, 2, 2)
) -> tuple[Gaussian, Counting, list]:
    denoise, noise = Gaussian(process), Counting(shape)
    start = Noise(0, range(shape[0]), shape[1:], dtype=torch.float64)()
    return denoise, noise, list(sampler.trajectory(denoise, start, noise))  # type: ignore[arg-type]


LINEAR = Linear().process(1000)
COSINE = Cosine().process(1000)


@pytest.mark.parametrize("process", [LINEAR, COSINE], ids=["linear", "cosine"])
@pytest.mark.parametrize(
    "sampler",
    [DDPM(), DDPM(variance="fixed-large"), DDIM(steps=1000), DDIM(steps=1000, eta=0.5), DDIM(steps=1000, eta=1)],
    ids=lambda sampler: sampler.label,
)
def test_all_steps_give_the_law_of_the_data(sampler: Sampler, process: Process) -> None:
    _, _, states = record_states(sampler, process, (64, 1, 16, 16))
    image = states[-1]
    n = image.numel()
    assert abs(image.mean().item() - MEAN) < 4 * DEVIATION / sqrt(n) + 0.002
    assert image.std().item() == pytest.approx(DEVIATION, rel=4 / sqrt(2 * n) + 0.006)


@pytest.mark.parametrize(("sampler", "order"), [(DDIM(), 1), (DDPM(), 1)], ids=["ddim", "ddpm"])
def test_the_error_falls_with_the_steps_as_declared(sampler: Sampler, order: int) -> None:
    """For affine denoisers every walk is affine: the deviation it ends in follows from walks without chance."""
    errors = []
    for steps in (100, 200, 400):
        deviation = _deviation(sampler.model_copy(update={"steps": steps}), COSINE, steps)
        errors.append(abs(deviation - DEVIATION))
    slopes = [log2(a / b) for a, b in pairwise(errors)]
    assert sampler.order == order
    assert slopes == pytest.approx([order] * 2, abs=0.25)


def _deviation(sampler: Sampler, process: Process, steps: int) -> float:
    """Return the exact standard deviation of the sampler's images: the root of the sum of squared responses.

    Row 0 walks without noise, row 1 from a start of one, row i + 2 with a one for its i-th draw.
    """
    rows = torch.eye(steps + 1, dtype=torch.float64)
    draws = iter(torch.nn.functional.pad(rows, (1, 0)))
    *_, last = sampler.trajectory(Gaussian(process), next(draws), lambda: next(draws))  # type: ignore[arg-type]
    return (last[1:] - last[0]).norm().item()


class Velocity(Gaussian):
    """The same denoiser where no signal is left too, where eps cannot tell x0."""

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        found, (alpha, sigma) = super().__call__(x_t, t), self.process(t)
        return Prediction.from_v(x_t, alpha, sigma, (alpha * x_t - found.x0) / sigma)


PROCESSES = {
    "linear": LINEAR,
    "cosine": COSINE,
    "zero-terminal": ZeroTerminal().process(1000),
    "zero-terminal-50": ZeroTerminal(of=Cosine()).process(50),
    "begins-later": ZeroTerminal().process(1000).truncate(400),
}
ZERO = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
SAMPLERS = [DDPM(), DDIM(), DPMSolverPP(), UniPC(), Heun(), PNDM(), PNDM(warmup="runge-kutta")]


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.label)
def test_network_calls_are_declared_for_every_trajectory(sampler: Sampler, name: str) -> None:
    process, wrong = PROCESSES[name], {}
    for spacing in ("linspace", "leading", "trailing", "quadratic", "karras", (49, 30, 2), (0,)):
        for steps in (1, 2, 3, 4, 5, 10):
            walker = sampler.model_copy(update={"spacing": spacing, "steps": steps})
            denoise = Velocity(process)
            list(walker.trajectory(denoise, ZERO, lambda: ZERO))  # type: ignore[arg-type]
            declared = count_network_calls(walker, process)
            if declared != len(denoise.calls):
                wrong[spacing, steps] = (declared, len(denoise.calls))
    assert wrong == {}


@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing", "quadratic", "karras", (999, 700, 30, 2)])
@pytest.mark.parametrize("sampler", [DDPM(steps=7), DDIM(steps=7, eta=1.0)], ids=["ddpm", "ddim"])
def test_the_walk_visits_the_list_and_adds_no_noise_at_its_end(sampler: Sampler, spacing: object) -> None:
    sampler = sampler.model_copy(update={"spacing": spacing})
    denoise, noise, states = record_states(sampler, LINEAR)
    steps = LINEAR.timesteps(7, spacing)  # type: ignore[arg-type]
    assert [t for t, _ in denoise.calls] == steps[:-1]
    assert len(states) == len(steps) - 1 == sampler.network_calls(len(steps) - 1)
    assert len(noise.draws) == len(states) - 1
    t, x = denoise.calls[-1]
    torch.testing.assert_close(states[-1], denoise(x, t).x0)


@pytest.mark.parametrize("steps", [(999, 500, 490), (800, 100, 0)])
def test_each_jump_goes_to_the_next_of_the_list(steps: tuple[int, ...]) -> None:
    """Not to "t - T // N": the state after a jump has the signal and noise of the step it is for."""
    denoise, _, states = record_states(DDIM(spacing=steps), LINEAR)
    for (t, x), s, state in zip(list(denoise.calls), (*steps[1:], -1), states, strict=True):
        seen = denoise(x, t)
        alpha, sigma = LINEAR(s)
        torch.testing.assert_close(state, alpha * seen.x0 + sigma * seen.eps)


def test_ddim_without_eta_draws_nothing() -> None:
    _, noise, _ = record_states(DDIM(steps=9), LINEAR)
    assert noise.draws == []
    assert not DDIM.stochastic
    assert DDPM.stochastic


@pytest.mark.parametrize("sampler", [DDPM(steps=5), DDIM(steps=5, eta=0.5)], ids=["ddpm", "ddim"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_start_is_not_changed_and_its_kind_is_kept(sampler: Sampler, dtype: torch.dtype) -> None:
    start = torch.ones(2, 3, 5, 4, dtype=dtype)
    kept = start.clone()
    for state in sampler.trajectory(Gaussian(LINEAR), start, lambda: torch.ones(2, 3, 5, 4, dtype=dtype)):  # type: ignore[arg-type]
        assert state.shape == start.shape
        assert state.dtype == dtype
        assert torch.isfinite(state).all()
    assert torch.equal(start, kept)


def test_a_single_step_is_the_denoised_start() -> None:
    for sampler in (DDPM(steps=1), DDIM(steps=1)):
        denoise, noise, states = record_states(sampler, LINEAR)
        t, x = denoise.calls[0]
        assert t == 999
        assert len(states) == 1
        assert noise.draws == []
        torch.testing.assert_close(states[0], denoise(x, t).x0)
