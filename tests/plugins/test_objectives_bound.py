"""The learned variance and the bound as a loss: gradients, sums and readings against brute force."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from noisette import Experiment, Objective, PluginError, Prediction, Schedule
from noisette.diffusion.bound import VariationalBound
from noisette.diffusion.prediction import log_variance, parse_variance
from noisette.errors import ConfigError
from noisette_plugins.objectives import X0, Eps, V
from noisette_plugins.samplers import DDPM
from noisette_plugins.schedules import Constant, Cosine, Linear

TINY = Constant(beta=0.2).process(5)
ALL = pytest.mark.parametrize("kind", [Eps, X0, V], ids=lambda kind: kind.name)


def drawn() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return x0, eps, steps 1 ... 4 and an output of two halves, in float64."""
    generator = torch.Generator().manual_seed(0)
    x0, eps, mean, raw = torch.randn(4, 4, 2, 3, 3, generator=generator, dtype=torch.float64)
    return (
        x0.clamp(-1, 1),
        eps,
        torch.tensor([1, 2, 3, 4]),
        torch.cat([mean, raw.clamp(-1, 1)], dim=1),
    )


def brute_force(objective: Objective, output: Tensor, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """Return the divergence of each image's true step from the network's, in bits a value."""
    mean, raw = output.chunk(2, dim=1)
    rows = []
    for i, step in enumerate(t.tolist()):
        alpha, sigma = TINY(step)
        x_t = alpha * x0[i] + sigma * eps[i]
        row = TINY.posterior(step, step - 1)
        small, beta = math.log(row.variance), math.log(TINY.step_variance(step, step - 1))
        std = ((raw[i] + 1) / 2 * beta + (1 - raw[i]) / 2 * small).div(2).exp()
        seen = objective.predict(mean[i : i + 1], x_t[None], alpha, sigma).x0[0]
        true = Normal(row.x0_coef * x0[i] + row.xt_coef * x_t, math.sqrt(row.variance))
        rows.append(kl_divergence(true, Normal(row.x0_coef * seen + row.xt_coef * x_t, std)).mean() / math.log(2))
    return torch.stack(rows)


@ALL
def test_the_full_bound_is_the_divergence_of_the_steps(kind: type[Objective]) -> None:
    objective = kind.model_validate({"bound": "full"})
    x0, eps, t, output = drawn()
    came = objective.training_losses(output, x0, eps, t, TINY)
    assert torch.allclose(came, 5 * brute_force(objective, output, x0, eps, t))


@ALL
def test_the_hybrid_adds_the_bound_for_the_variance_alone(kind: type[Objective]) -> None:
    objective = kind.model_validate({"bound": "hybrid", "bound_weight": 0.3})
    x0, eps, t, output = drawn()
    output.requires_grad_()
    losses = objective.training_losses(output, x0, eps, t, TINY)
    simple = objective.losses(output.chunk(2, dim=1)[0], x0, eps, *TINY.alpha_sigma(t, x0))
    bound = 5 * brute_force(objective, output, x0, eps, t)
    assert torch.allclose(losses, simple + 0.3 * bound)
    (came,) = torch.autograd.grad(losses.sum(), output, retain_graph=True)
    (alone,) = torch.autograd.grad(simple.sum(), output, retain_graph=True)
    (whole,) = torch.autograd.grad(0.3 * bound.sum(), output)
    assert torch.allclose(came[:, :2], alone[:, :2])
    assert torch.allclose(came[:, 2:], whole[:, 2:])
    assert float(whole[:, :2].abs().max()) > 1e-3  # control: the bound alone would have moved the mean


@ALL
@pytest.mark.parametrize("bound", ["hybrid", "full"])
def test_gradients_are_those_of_differences(kind: type[Objective], bound: str) -> None:
    objective = kind.model_validate({"bound": bound})
    x0, eps, t, output = drawn()
    t[0] = 0  # L_0 too, a likelihood of bins
    if bound == "full":
        assert torch.autograd.gradcheck(
            lambda given: objective.training_losses(given, x0, eps, t, TINY), output.requires_grad_(), atol=1e-6
        )
        return
    raw = output[:, 2:].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda given: objective.training_losses(torch.cat([output[:, :2], given], 1), x0, eps, t, TINY),
        raw,
    )


def test_the_best_variance_of_a_gaussian_is_learned() -> None:
    """Of x0 ~ N(0, s²) the true variance of each step is known: the bound's minimum over the fraction is it."""
    s, t = 0.5, 3
    alpha, sigma = TINY(t)
    generator = torch.Generator().manual_seed(0)
    x0 = s * torch.randn(200_000, 1, 1, 1, generator=generator, dtype=torch.float64)
    x_t = alpha * x0 + sigma * torch.randn(x0.shape, generator=generator, dtype=torch.float64)
    spread = alpha**2 * s**2 + sigma**2
    seen = s**2 * alpha / spread * x_t
    row = TINY.posterior(t, t - 1)
    best = math.log(row.variance + row.x0_coef**2 * s**2 * sigma**2 / spread)
    steps = torch.full((len(x0),), t)
    grid = torch.linspace(0, 1, 201, dtype=torch.float64)
    bits = [float(VariationalBound(TINY).terms(x0, steps, seen, f.expand_as(x0)).mean()) for f in grid]
    found = float(log_variance(grid[int(torch.tensor(bits).argmin())], TINY, t, t - 1))
    assert found == pytest.approx(best, abs=0.005)
    assert math.log(row.variance) < best - 0.05  # control: neither end would have done
    assert best + 0.03 < math.log(TINY.step_variance(t, t - 1))


def test_a_direct_log_variance_is_read_as_the_fraction_that_gives_it() -> None:
    t = torch.tensor([1, 2, 4])
    raw = torch.tensor([-1.2, -2.0, -1.7], dtype=torch.float64).view(3, 1, 1, 1)
    variance_fraction = parse_variance(raw, t, TINY, direct=True)
    back = [log_variance(variance_fraction[i], TINY, step, step - 1) for i, step in enumerate(t.tolist())]
    assert torch.allclose(torch.stack(back), raw)


@pytest.mark.parametrize("timesteps", [1000, 4000])
def test_a_direct_log_variance_survives_float32(timesteps: int) -> None:
    """Late in the process the ends of the range are nearer to each other than float32 tells them apart."""
    process = Linear().process(timesteps)
    t = torch.arange(1, timesteps)
    least = torch.tensor([math.log(process.posterior(step, step - 1).variance) for step in t.tolist()])
    raw = (least + 0.5).view(-1, 1, 1, 1)
    back = VariationalBound(process).log_variance(t, raw, parse_variance(raw, t, process, direct=True))
    assert torch.allclose(back, raw, atol=1e-5)


@pytest.mark.parametrize("schedule", [Linear(), Cosine()])
@pytest.mark.parametrize("error", [-0.05, 0.05])
def test_a_direct_log_variance_serves_for_jumps(schedule: Schedule, error: float) -> None:
    process = schedule.process(1000)
    for t, s in pairwise(process.timesteps(10)[:-1]):
        exact = math.log(process.posterior(t, t - 1).variance)
        variance_fraction = parse_variance(torch.full((1, 1, 1, 1), exact + error), t, process, direct=True)
        found = float(log_variance(variance_fraction, process, t, s).exp())
        posterior = process.posterior(t, s)
        assert posterior.variance * 0.999 <= found <= (posterior.variance + 4 * posterior.x0_coef**2) * 1.001
        one = float(log_variance(variance_fraction, process, t, t - 1))
        assert one == pytest.approx(exact + error, abs=1e-4)  # a single step takes what was told


def test_a_network_without_variance_is_refused() -> None:
    problem = r"sampling\.samplers\.0: needs objective\.bound=hybrid or full"
    config = {"name": "x", "dataset": "digits", "sampling": {"samplers": [{"name": "ddpm", "variance": "learned"}]}}
    with pytest.raises(ConfigError, match=problem):
        Experiment.parse(config)
    Experiment.parse({**config, "objective": {"name": "v", "bound": "hybrid"}})

    class Silent:
        process = TINY

        def __call__(self, x_t: Tensor, t: int) -> Prediction:
            return Prediction(x_t, *TINY(t), x0=x_t)

    x = torch.zeros(1, 1, 1, 1)
    with pytest.raises(PluginError, match="expected a network that learned the variance"):
        list(DDPM(steps=5, variance="learned").trajectory(Silent(), x, lambda: x))  # type: ignore[arg-type]
