"""The bound against golden numbers, numerical integration and a law whose likelihood is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from noisette.diffusion.bound import VariationalBound
from noisette_plugins.schedules import Constant, Linear

T1000 = Linear().process(1000)
T200 = Linear().process(200)
TINY = Constant(beta=0.2).process(5)


def images(count: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 1, 3, 2), generator=generator).double() / 127.5 - 1


def test_the_prior_term_of_the_linear_schedule() -> None:
    # reference.md, section 3: 2.911e-05 bits per dimension at |x0| = 1.
    assert float(VariationalBound(T1000).prior(torch.ones(1, 1, 2, 2).double())) == pytest.approx(
        2.911e-05, rel=1e-3
    )


def test_the_prior_term_is_the_divergence() -> None:
    x0 = images()
    alpha, sigma = TINY(4)
    exact = kl_divergence(Normal(alpha * x0, sigma), Normal(0.0, 1.0)).flatten(1).mean(1) / math.log(2)
    assert torch.allclose(VariationalBound(TINY).prior(x0), exact)


@pytest.mark.parametrize("variance", ["fixed-small", "fixed-large"])
@pytest.mark.parametrize("t", [1, 2, 4])
def test_a_term_is_the_divergence_of_the_posteriors(variance: str, t: int) -> None:
    x0, seen, x_t = images(), images().flip(0), images().roll(1, 0)
    row = TINY.posterior(t, t - 1)
    std = math.sqrt(row.variance if variance == "fixed-small" else 0.2)
    true = Normal(row.x0_coef * x0 + row.xt_coef * x_t, math.sqrt(row.variance))
    exact = kl_divergence(true, Normal(row.x0_coef * seen + row.xt_coef * x_t, std)).flatten(1).mean(1) / math.log(
        2
    )
    came = VariationalBound(TINY, variance).terms(x0, torch.full((4,), t), seen)
    assert torch.allclose(came, exact)


def test_learned_fractions_span_the_two_variances() -> None:
    x0, seen, t = images(), images().flip(0), torch.tensor([1, 2, 3, 4])
    for fraction, variance in ((0.0, "fixed-small"), (1.0, "fixed-large")):
        learned = VariationalBound(TINY).terms(x0, t, seen, torch.full_like(x0, fraction))
        assert torch.allclose(learned, VariationalBound(TINY, variance).terms(x0, t, seen))


def test_the_bins_share_out_all_the_probability() -> None:
    values = (torch.arange(256).double() / 127.5 - 1).view(256, 1, 1, 1)
    for mean in (-1.3, -0.2, 0.999):
        bits = VariationalBound(TINY).terms(
            values, torch.zeros(256, dtype=torch.int64), torch.full_like(values, mean)
        )
        assert float((-bits * math.log(2)).exp().sum()) == pytest.approx(1, abs=1e-6)


def test_far_out_the_likelihood_is_finite_and_falls() -> None:
    near, far = (torch.full((1, 1, 1, 1), mean, dtype=torch.float32) for mean in (0.54, -0.9))
    x0 = torch.full((1, 1, 1, 1), 0.55)
    zero = torch.zeros(1, dtype=torch.int64)
    bits = [float(VariationalBound(T1000).terms(x0, zero, mean)) for mean in (near, far)]
    assert math.isfinite(bits[1])
    assert bits[1] > 1000 * max(bits[0], 1e-3)


def test_for_a_gaussian_the_bound_reaches_the_entropy() -> None:
    # x0 ~ N(0, s²) has log2(s sqrt(2 pi e)) + log2(127.5) bits a value, cut into 8-bit bins. Each true reverse step
    # is Gaussian, of variance v + c_0² Var(x0 | x_t); with that and the exact denoiser the bound is tight, but for
    # L_0, whose variance is fixed.
    s, bound = 0.25, VariationalBound(T200)
    generator = torch.Generator().manual_seed(1)
    x0 = ((torch.randn(1000, 1, 1, 4, generator=generator).double() * s + 1) * 127.5).round() / 127.5 - 1
    optimal, fixed = bound.prior(x0).mean(), bound.prior(x0).mean()
    for t in range(200):
        alpha, sigma = T200(t)
        spread = alpha**2 * s**2 + sigma**2
        x_t = alpha * x0 + sigma * torch.randn(x0.shape, generator=generator).double()
        row, steps = T200.posterior(t, t - 1), torch.full((1000,), t)
        best = math.log(row.variance + row.x0_coef**2 * s**2 * sigma**2 / spread)
        low, high = (
            float(VariationalBound(T200, name).log_variance(steps[:1], x0))
            for name in ("fixed-small", "fixed-large")
        )
        fraction = (best - low) / (high - low) if t else 0.0
        seen = s**2 * alpha / spread * x_t
        optimal += bound.terms(x0, steps, seen, torch.full_like(x0, fraction)).mean()
        fixed += bound.terms(x0, steps, seen).mean()
    entropy = math.log2(s * math.sqrt(2 * math.pi * math.e)) + math.log2(127.5)
    assert entropy - 0.03 < float(optimal) < entropy + 0.2
    assert float(fixed) > float(optimal) + 0.3  # control: the posterior's variance alone is too small
