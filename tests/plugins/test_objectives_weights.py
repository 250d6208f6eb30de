"""Loss weights against the papers' formulas, for each prediction."""

from __future__ import annotations

import pytest
import torch

from noisette import Objective
from noisette_plugins.objectives import X0, Eps, V
from noisette_plugins.schedules import Linear

TABLES = Linear().process(1000)
T = torch.tensor([0, 100, 300, 500, 999])
ALPHA, SIGMA = TABLES.alpha_sigma(T, torch.zeros(5, 1, 1, 1, dtype=torch.float64))
SNR = TABLES.snr[T]

# Hang et al. 2023, section 3.4: min(snr, gamma) on x0, divided by snr for eps and by snr + 1 for v.
MIN_SNR = {"eps": SNR.clamp(max=5) / SNR, "x0": SNR.clamp(max=5), "v": SNR.clamp(max=5) / (SNR + 1)}
# Choi et al. 2022, eq. 8: 1 / (k + snr)^gamma on eps.
P2 = 1 / (2 + SNR) ** 0.5
TRANSLATED = {"eps": P2, "x0": P2 * SNR, "v": P2 * SNR / (SNR + 1)}


@pytest.mark.parametrize("plugin", [Eps, X0, V], ids=lambda plugin: plugin.name)
def test_min_snr(plugin: type[Objective]) -> None:
    weights = plugin.model_validate({"weight": "min-snr"}).weights(ALPHA, SIGMA)
    assert torch.allclose(weights, MIN_SNR[plugin.name], rtol=1e-9)


@pytest.mark.parametrize("plugin", [Eps, X0, V], ids=lambda plugin: plugin.name)
def test_p2(plugin: type[Objective]) -> None:
    weights = plugin.model_validate({"weight": "p2", "p2_gamma": 0.5, "p2_k": 2}).weights(ALPHA, SIGMA)
    assert torch.allclose(weights, TRANSLATED[plugin.name], rtol=1e-9)


def test_a_weight_means_the_same_for_every_prediction() -> None:
    generator = torch.Generator().manual_seed(0)
    x0, eps, wrong = (torch.randn(5, 1, 2, 2, generator=generator, dtype=torch.float64) for _ in range(3))
    x_t = ALPHA * x0 + SIGMA * eps
    said = {
        "x0": wrong,
        "eps": (x_t - ALPHA * wrong) / SIGMA,
        "v": ALPHA * (x_t - ALPHA * wrong) / SIGMA - SIGMA * wrong,
    }
    losses = [
        plugin.model_validate({"weight": "min-snr"}).losses(said[plugin.name], x0, eps, ALPHA, SIGMA)
        for plugin in (Eps, X0, V)
    ]
    assert torch.allclose(losses[0], losses[1], rtol=1e-6)
    assert torch.allclose(losses[1], losses[2], rtol=1e-6)
