"""Verdicts on samples: right ones stay within chance, slightly wrong ones do not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from noisette.testing import Mixture
from noisette.testing.laws import LawTest, sliced_wasserstein

LAW = Mixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.5]], [0.1 * torch.eye(2), torch.diag(torch.tensor([0.3, 0.05]))])
JUDGE = LawTest(LAW, 2000)


def draw(seed: int) -> Tensor:
    return LAW.draw(2000, torch.Generator().manual_seed(seed))


def errors(samples: Tensor) -> dict[str, float]:
    return {verdict.what: verdict.errors for verdict in JUDGE.verdicts(samples)}


def test_true_samples_stay_within_chance() -> None:
    worst = [max(errors(draw(seed)).values()) for seed in range(40)]
    assert max(worst) < 4.5
    assert max(worst) > 1.5, "the errors are not too large to see anything"


def test_a_moved_mean_and_a_wide_spread_are_seen() -> None:
    assert errors(draw(0) + torch.tensor([0.15, 0.0]))["mean"] > 4.5
    assert errors(1.15 * (draw(0) - LAW.mean) + LAW.mean)["covariance"] > 4.5


def test_a_wrong_shape_of_the_right_moments_is_seen() -> None:
    normal = torch.randn(2000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    samples = (LAW.mean + normal @ torch.linalg.cholesky(LAW.covariance).T).view(-1, 1, 1, 2)
    actual = errors(samples)
    assert actual["mean"] < 4.5
    assert actual["covariance"] < 4.5
    assert actual["distance to the law"] > 4.5


def test_the_sliced_distance_of_a_shift_is_its_length_along_each_direction() -> None:
    x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert sliced_wasserstein(x, x.flip(0), directions) == 0
    assert sliced_wasserstein(x, x + torch.tensor([0.6, -0.2]), directions) == pytest.approx(0.4, rel=1e-5)
