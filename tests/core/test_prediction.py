from __future__ import annotations

import pytest
import torch
from torch import Tensor

from noisette import Prediction
from noisette.diffusion.denoiser import Clipped, Denoiser
from noisette.model.network_denoiser import NetworkDenoiser
from noisette_plugins.objectives import X0, Eps, V
from noisette_plugins.schedules import Linear

PROCESS = Linear().process(1000)
STEPS = [0, 1, 100, 500, 999]


def noisy(t: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return x0, eps and x_t."""
    generator = torch.Generator().manual_seed(t)
    x0, eps = (torch.randn(2, 1, 4, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    alpha, sigma = PROCESS(t)
    return x0, eps, alpha * x0 + sigma * eps


@pytest.mark.parametrize("t", STEPS)
@pytest.mark.parametrize("dialect", ["x0", "eps", "v"])
def test_every_dialect_says_the_same(t: int, dialect: str) -> None:
    x0, eps, x_t = noisy(t)
    alpha, sigma = PROCESS(t)
    v = alpha * eps - sigma * x0
    said = {
        "x0": Prediction(x_t, alpha, sigma, x0=x0),
        "eps": Prediction(x_t, alpha, sigma, eps=eps),
        "v": Prediction.from_v(x_t, alpha, sigma, v),
    }[dialect]
    torch.testing.assert_close(said.x0, x0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(said.eps, eps, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(said.v, v, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("objective", [Eps(), X0(), V()], ids=lambda objective: objective.name)
@pytest.mark.parametrize("t", STEPS)
def test_what_a_network_says_is_read_by_its_objective(objective: Eps | X0 | V, t: int) -> None:
    """A network that says the target exactly is a denoiser that sees x0 and eps exactly."""
    x0, eps, x_t = noisy(t)
    alpha, sigma = PROCESS(t)
    target = objective.target(x0, eps, torch.tensor(alpha), torch.tensor(sigma))
    seen: list[tuple[int, Tensor | None]] = []

    class Says(torch.nn.Module):
        def forward(self, x: Tensor, steps: Tensor, label: Tensor | None = None) -> Tensor:
            assert steps.shape == (2,)
            assert steps.dtype == torch.int64
            seen.append((int(steps[0]), label))
            return target

    label = torch.tensor([3, 1])
    said = NetworkDenoiser(Says(), objective, PROCESS, label)(x_t, t)
    assert seen == [(t, label)]
    torch.testing.assert_close(said.x0, x0, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(said.eps, eps, rtol=1e-6, atol=1e-6)


def test_a_network_may_compute_in_less_and_the_answer_stays_in_full() -> None:
    layer = torch.nn.Conv2d(1, 1, 1)
    dtypes: list[torch.dtype] = []
    layer.register_forward_hook(lambda module, arguments, output: dtypes.append(output.dtype))

    class Net(torch.nn.Module):
        def forward(self, x: Tensor, steps: Tensor, label: Tensor | None = None) -> Tensor:
            return layer(x)

    said = NetworkDenoiser(Net(), Eps(), PROCESS, autocast=torch.bfloat16)(torch.ones(1, 1, 2, 2), 5)
    assert dtypes == [torch.bfloat16]
    assert said.eps.dtype == said.x0.dtype == torch.float32
    assert not said.x0.requires_grad


class Sees(Denoiser):
    """Sees what it is told."""

    process = PROCESS

    def __init__(self, x0: Tensor) -> None:
        self.x0 = x0

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        return Prediction(x_t, *PROCESS(t), x0=self.x0, variance_fraction=torch.zeros(()))


def test_a_clipped_image_takes_its_noise_along() -> None:
    """Without the noise derived again, alpha x0 + sigma eps would no longer be x_t."""
    x_t = torch.full((1, 1, 1, 3), 0.3, dtype=torch.float64)
    x0 = torch.tensor([-3.0, 0.5, 2.0], dtype=torch.float64).view(1, 1, 1, 3)
    plain, clipped = Sees(x0)(x_t, 300), Clipped(Sees(x0))(x_t, 300)
    alpha, sigma = PROCESS(300)
    assert clipped.x0.flatten().tolist() == [-1.0, 0.5, 1.0]
    torch.testing.assert_close(alpha * clipped.x0 + sigma * clipped.eps, x_t)
    torch.testing.assert_close(clipped.v, alpha * clipped.eps - sigma * clipped.x0)
    assert torch.equal(clipped.eps == plain.eps, torch.tensor([False, True, False]).view(1, 1, 1, 3))
    assert clipped.variance_fraction is not None
    assert Clipped(Sees(x0), 2.5)(x_t, 300).x0.flatten().tolist() == [-2.5, 0.5, 2.0]


def test_a_prediction_needs_something_to_go_on() -> None:
    with pytest.raises(ValueError, match="a prediction needs x0 or eps; got neither"):
        Prediction(torch.zeros(1), 0.5, 0.5)
