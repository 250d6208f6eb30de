from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import Tensor

from noisette import PluginError, Process
from noisette_plugins.schedules import Cosine, Linear


@pytest.fixture(scope="module")
def linear() -> Process:
    return Linear().process(1000)


def float64(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("process", "first", "middle", "last", "total"),
    [
        (Linear().process(1000), 0.9999, 0.07858724288, 4.035829765e-05, 10.05),
        (Linear().process(4000), 0.999975, 0.07894487332, 4.246652276e-05, 10.05),
        (Cosine().process(1000), 0.9999587158, 0.4938435904, 2.428766907e-09, 12.4414964171),
    ],
    ids=["linear", "linear-4000", "cosine"],
)
def test_golden_numbers(process: Process, first: float, middle: float, last: float, total: float) -> None:
    """reference.md, section 3: recomputed in float64 from Ho et al. 2020 and Nichol & Dhariwal 2021."""
    squared = process.alphas[:-1] ** 2
    half = len(process) // 2 - 1
    assert [squared[t].item() for t in (0, half, -1)] == pytest.approx([first, middle, last], rel=1e-9)
    assert process.betas.sum().item() == pytest.approx(total, rel=1e-11)


def test_golden_posterior_of_the_linear_schedule(linear: Process) -> None:
    """reference.md, section 3."""
    variances = [linear.posterior(t, t - 1).variance for t in (1, 500, 999)]
    assert variances == pytest.approx([5.453187661e-05, 0.01005133578, 0.01999998353], rel=1e-9)
    posterior = linear.posterior(1, 0)
    assert (posterior.x0_coef, posterior.xt_coef) == pytest.approx((0.5452914995, 0.454708499), rel=1e-9)


def test_the_posterior_at_the_first_step_is_the_image(linear: Process) -> None:
    assert linear.posterior(0, -1) == pytest.approx((1.0, 0.0, 0.0))


@pytest.mark.parametrize(("t", "s"), [(1, 0), (2, 0), (5, 2), (9, 8), (9, 0)])
def test_the_posterior_is_bayes_rule(t: int, s: int) -> None:
    """Brute force: q(x_s | x_0) q(x_t | x_s) on a grid of x_s, for betas that are not small."""
    betas = torch.linspace(0.05, 0.6, 10, dtype=torch.float64)
    process = Process(betas)
    x0, x_t = 0.7, -0.4
    keeps_s = (1 - betas[: s + 1]).prod()
    keeps = (1 - betas[s + 1 : t + 1]).prod()
    grid = torch.linspace(-12, 12, 400_001, dtype=torch.float64)
    log = -((grid - keeps_s.sqrt() * x0) ** 2) / (2 * (1 - keeps_s))
    log = log - (x_t - keeps.sqrt() * grid) ** 2 / (2 * (1 - keeps))
    weight = (log - log.max()).exp()
    weight = weight / weight.sum()
    mean = (weight * grid).sum()
    variance = (weight * (grid - mean) ** 2).sum()
    posterior = process.posterior(t, s)
    assert posterior.x0_coef * x0 + posterior.xt_coef * x_t == pytest.approx(mean.item(), rel=1e-9)
    assert posterior.variance == pytest.approx(variance.item(), rel=1e-9)


def test_neighbouring_steps_jump_by_beta(linear: Process) -> None:
    for t in (0, 1, 500, 999):
        assert linear.step_variance(t, t - 1) == pytest.approx(linear.betas[t].item(), rel=1e-12)


def test_the_factors_of_image_and_noise_fit_together(linear: Process) -> None:
    assert torch.allclose(linear.alphas**2 + linear.sigmas**2, torch.ones(1001, dtype=torch.float64), rtol=1e-15)
    assert linear(-1) == (1.0, 0.0)
    assert linear(999) == (linear.alphas[999].item(), linear.sigmas[999].item())
    assert linear.alphas.dtype == linear.sigmas.dtype == linear.betas.dtype == torch.float64
    assert (linear.snr.diff() < 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 1, 4, 4), (3, 2), (3,)])
def test_each_image_has_its_own_step(linear: Process, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    like = torch.zeros(shape, dtype=dtype)
    steps = torch.tensor([0, 500, 999])
    alpha, sigma = linear.alpha_sigma(steps, like)
    assert alpha.shape == sigma.shape == (3, *[1] * (len(shape) - 1))
    assert alpha.dtype == sigma.dtype == dtype
    assert alpha.flatten().tolist() == linear.alphas[steps].to(dtype).tolist()
    assert sigma.flatten().tolist() == linear.sigmas[steps].to(dtype).tolist()


def test_dtypes_may_alternate(linear: Process) -> None:
    steps = torch.tensor([3])
    for dtype in (torch.float32, torch.float64, torch.float32, torch.bfloat16):
        assert linear.alpha_sigma(steps, torch.zeros(1, dtype=dtype))[0].dtype == dtype


def test_images_are_noised_each_at_its_own_step(linear: Process) -> None:
    generator = torch.Generator().manual_seed(0)
    x0, eps = (torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    x_t = linear.add_noise(x0, eps, torch.tensor([10, 900]))
    for row, t in enumerate((10, 900)):
        alpha, sigma = linear(t)
        assert torch.equal(x_t[row], alpha * x0[row] + sigma * eps[row])


def test_noising_step_by_step_is_noising_at_once() -> None:
    """The moments of x_t = sqrt(1 - beta) x_{t-1} + sqrt(beta) z, from step to step."""
    process = Process(torch.linspace(0.01, 0.5, 20, dtype=torch.float64))
    mean, variance = 1.0, 0.0
    for t, beta in enumerate(process.betas.tolist()):
        mean, variance = sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        assert process(t) == pytest.approx((mean, sqrt(variance)), rel=1e-12)


def test_tiny_betas_keep_their_noise() -> None:
    """With sigma² = 1 - prod(1 - beta) these would be exactly 0, and the posterior would divide by it."""
    process = Process(torch.full((3,), 1e-20, dtype=torch.float64))
    assert process(0)[1] == pytest.approx(1e-10, rel=1e-9)
    assert process.posterior(2, 1).variance == pytest.approx(1e-20 * 2 / 3, rel=1e-9)


def test_a_signal_that_vanishes_is_no_division_by_zero() -> None:
    process = Process(torch.full((1000,), 0.999, dtype=torch.float64))
    assert process(999) == (0.0, 1.0)
    assert process.posterior(999, 998) == pytest.approx((0.0, sqrt(0.001), 0.999))


def test_a_last_beta_of_one_is_pure_noise() -> None:
    process = Process(float64(0.1, 0.5, 1.0))
    assert process(2) == (0.0, 1.0)
    posterior = process.posterior(2, 1)
    alpha, sigma = process(1)
    assert posterior == pytest.approx((alpha, 0.0, sigma**2))
    assert process.snr[-1] == 0


@pytest.mark.parametrize("timesteps", [1, 2, 10, 100_000])
def test_the_built_in_schedules_hold_at_extreme_lengths(timesteps: int) -> None:
    for schedule in (Linear(), Cosine(), Cosine(s=1e-6, max_beta=0.999999), Linear(scaled=False, end=0.999)):
        process = schedule.process(timesteps)
        assert len(process) == timesteps
        assert torch.isfinite(process.alphas).all()
        assert torch.isfinite(process.sigmas).all()
        assert (process.sigmas[:-1] > 0).all()


@pytest.mark.parametrize(
    ("betas", "message"),
    [
        (float64(0.1, 0.0, 0.2), "got 0 at timestep 1"),
        (float64(0.1, -0.5, 0.2), "got -0.5 at timestep 1"),
        (float64(0.1, 1.0, 0.2), "got 1 at timestep 1"),
        (float64(0.1, 1.5), "got 1.5 at timestep 1"),
        (float64(float("nan"), 0.2), "got nan at timestep 0"),
        (float64(*[0.0] * 9), "got 0 at timestep 0, 0 at timestep 1, 0 at timestep 2"),
        (float64(), r"got shape \(0,\)"),
        (torch.tensor(0.1), r"got shape \(\)"),
        (torch.full((2, 2), 0.1), r"got shape \(2, 2\)"),
        ([0.1, 0.2], "got list"),
        (None, "got NoneType"),
    ],
)
def test_betas_that_are_none_are_refused(betas: Tensor, message: str) -> None:
    with pytest.raises(PluginError, match=f"^schedule: expected .*{message}$"):
        Process(betas)


def test_a_schedule_of_another_length_is_refused() -> None:
    class Short(Linear):
        name = "short"

        def betas(self, timesteps: int) -> Tensor:
            return super().betas(timesteps - 1)

    with pytest.raises(PluginError, match="schedule short: expected 10 betas; got 9"):
        Short().process(10)


def test_walks_are_those_of_the_spacing(linear: Process) -> None:
    assert linear.timesteps(4, "leading") == [750, 500, 250, 0, -1]
    assert linear.timesteps(4, (999, 3)) == [999, 3, -1]
    assert linear.timesteps(1000) == list(range(999, -2, -1))
    with pytest.raises(ValueError, match="steps: expected 1 to 1000, the trained timesteps; got 1001"):
        linear.timesteps(1001)


def test_a_walk_may_start_at_a_step(linear: Process) -> None:
    later = linear.truncate(99)
    assert later.timesteps(4) == [99, 66, 33, 0, -1]
    assert later.timesteps(1000) == list(range(99, -2, -1))
    assert later.timesteps(5, (999, 99, 98)) == [99, 98, -1]
    assert later.timesteps(5, (999, 120, 50)) == [99, 50, -1]
    assert later.timesteps(5, (999, 120)) == [99, -1]
    assert linear.truncate(999).timesteps(5, (900, 50)) == [900, 50, -1]
    assert later(500) == linear(500)
    assert len(later) == 1000
    assert linear.truncate(0).timesteps(10) == [0, -1]
    assert linear.truncate(999).timesteps(3) == linear.timesteps(3)
    for t in (-1, 1000):
        with pytest.raises(ValueError, match=rf"start: expected a timestep within \[0, 1000\); got {t}"):
            linear.truncate(t)
