from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from noisette import Objective
from noisette_plugins.objectives import X0, Eps, V
from noisette_plugins.schedules import Linear

ALL = [Eps(), X0(), V()]
TABLES = Linear().process(1000)


def drawn(seed: int = 0, count: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return x0, eps, steps, alpha and sigma of some images, each at its own step."""
    generator = torch.Generator().manual_seed(seed)
    x0, eps = (torch.randn(count, 2, 3, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    t = torch.randint(0, 1000, (count,), generator=generator)
    return x0, eps, t, *TABLES.alpha_sigma(t, x0)


def test_targets_are_the_papers() -> None:
    x0, eps, _, alpha, sigma = drawn()
    assert torch.equal(Eps().target(x0, eps, alpha, sigma), eps)
    assert torch.equal(X0().target(x0, eps, alpha, sigma), x0)
    assert torch.equal(V().target(x0, eps, alpha, sigma), alpha * eps - sigma * x0)


@pytest.mark.parametrize("objective", ALL, ids=lambda objective: objective.name)
@pytest.mark.parametrize("t", [0, 1, 400, 999])
def test_the_way_back_from_the_target_is_the_image_and_the_noise(objective: Objective, t: int) -> None:
    x0, eps, *_ = drawn(t)
    alpha, sigma = TABLES(t)
    x_t = alpha * x0 + sigma * eps
    target = objective.target(x0, eps, torch.tensor(alpha).double(), torch.tensor(sigma).double())
    said = objective.predict(target, x_t, alpha, sigma)
    torch.testing.assert_close(said.x0, x0, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(said.eps, eps, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("objective", ALL, ids=lambda objective: objective.name)
def test_the_best_linear_network_says_what_bayes_would_say(objective: Objective) -> None:
    """For images ~ N(m, s²) the exact denoiser is affine in x_t: least squares on the target must find it."""
    m, s, t = 0.4, 0.3, 300
    alpha, sigma = TABLES(t)
    generator = torch.Generator().manual_seed(1)
    x0 = m + s * torch.randn(200_000, 1, 1, 1, generator=generator, dtype=torch.float64)
    eps = torch.randn(x0.shape, generator=generator, dtype=torch.float64)
    x_t = alpha * x0 + sigma * eps
    target = objective.target(x0, eps, torch.tensor(alpha).double(), torch.tensor(sigma).double())
    inputs = torch.cat([x_t.view(-1, 1), torch.ones(len(x_t), 1, dtype=torch.float64)], dim=1)
    slope, offset = torch.linalg.lstsq(inputs, target.view(-1, 1)).solution.flatten()
    place = torch.linspace(-1, 1, 5, dtype=torch.float64).view(-1, 1, 1, 1)
    said = objective.predict(slope * place + offset, place, alpha, sigma).x0
    exact = m + alpha * s**2 / (alpha**2 * s**2 + sigma**2) * (place - alpha * m)
    torch.testing.assert_close(said, exact, rtol=0, atol=0.01)


@pytest.mark.parametrize("objective", [type(one) for one in ALL], ids=lambda objective: objective.name)
@pytest.mark.parametrize(("loss", "measure"), [("mse", F.mse_loss), ("l1", F.l1_loss), ("huber", F.smooth_l1_loss)])
def test_the_loss_is_that_of_each_image(objective: type[Objective], loss: str, measure: object) -> None:
    x0, eps, _, alpha, sigma = drawn()
    output = torch.randn(x0.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    plugin = objective.model_validate({"loss": loss})
    losses = plugin.losses(output, x0, eps, alpha, sigma)
    target = plugin.target(x0, eps, alpha, sigma)
    assert losses.shape == (4,)
    expected = torch.stack([measure(output[i], target[i]) for i in range(4)])  # type: ignore[operator]
    torch.testing.assert_close(losses, expected)
    assert (plugin.losses(target, x0, eps, alpha, sigma) == 0).all()


def test_a_gradient_reaches_the_output_and_nothing_else_is_changed() -> None:
    x0, eps, _, alpha, sigma = drawn()
    kept = [tensor.clone() for tensor in (x0, eps, alpha, sigma)]
    for objective in ALL:
        output = torch.zeros_like(x0, requires_grad=True)
        objective.losses(output, x0, eps, alpha, sigma).mean().backward()
        assert output.grad is not None
        assert output.grad.abs().sum() > 0
    assert all(torch.equal(*pair) for pair in zip(kept, (x0, eps, alpha, sigma), strict=True))


def test_noise_alone_needs_a_signal() -> None:
    assert {objective.name: objective.needs_signal for objective in ALL} == {"eps": True, "x0": False, "v": False}
    still = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    for objective in (X0(), V()):  # at zero terminal signal x_t is eps
        said = objective.predict(still, still, 0.0, 1.0)
        assert torch.isfinite(said.x0).all()
        assert torch.isfinite(said.eps).all()


def test_a_loss_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="mse"):
        Eps.model_validate({"loss": "rmse"})
