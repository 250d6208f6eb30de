"""The full loops of diffusers' own scheduler tests (tests/schedulers/test_scheduler_ddpm.py and ..._ddim.py).

The sums and means are theirs, quoted; nothing of diffusers runs here. Their network is x t / (t + 1), their input
768 evenly spaced numbers, their noise torch's from seed 0, all in float32.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from noisette import Clipped, Denoiser, Objective, Prediction, Sampler
from noisette_plugins.objectives import Eps, V
from noisette_plugins.samplers import DDIM, DDPM
from noisette_plugins.schedules import Linear

INPUT = (torch.arange(768) / 768).reshape(3, 8, 8, 4).permute(3, 0, 1, 2)


class Network(Denoiser):
    """Their network, read by an objective."""

    def __init__(self, objective: Objective) -> None:
        self.process, self.objective = Linear().process(1000), objective

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        return self.objective.predict(x_t * t / (t + 1), x_t, *self.process(t))


def loop(sampler: Sampler, denoise: Denoiser) -> tuple[float, float]:
    """Return the sum and the mean of the last state's absolute values."""
    generator = torch.Generator().manual_seed(0)
    *_, last = sampler.trajectory(denoise, INPUT, lambda: torch.randn(INPUT.shape, generator=generator))  # type: ignore[arg-type]
    return last.abs().sum().item(), last.abs().mean().item()


@pytest.mark.parametrize(("objective", "total", "mean"), [(Eps(), 258.9606, 0.3372), (V(), 202.0296, 0.2631)])
def test_ddpm(objective: Objective, total: float, mean: float) -> None:
    came = loop(DDPM(), Clipped(Network(objective)))
    assert came[0] == pytest.approx(total, abs=1e-2)
    assert came[1] == pytest.approx(mean, abs=1e-4)


@pytest.mark.parametrize(("objective", "total", "mean"), [(Eps(), 172.0067, 0.223967), (V(), 52.5302, 0.0684)])
def test_ddim(objective: Objective, total: float, mean: float) -> None:
    came = loop(DDIM(steps=10, spacing="leading"), Clipped(Network(objective)))
    assert came[0] == pytest.approx(total, abs=1e-2)
    assert came[1] == pytest.approx(mean, abs=1e-4)


@pytest.mark.parametrize("sampler", [DDIM(steps=10), DDIM(steps=11, spacing="leading"), DDPM(steps=10)])
def test_control_other_walks_have_other_sums(sampler: Sampler) -> None:
    assert abs(loop(sampler, Clipped(Network(Eps())))[0] - 172.0067) > 0.1
