from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from noisette import Batch, DataError, Estimate
from noisette_plugins.metrics import Frechet, FrechetInfinity
from noisette_plugins.metrics.extrapolation import _weights
from noisette_plugins.metrics.feature_statistics import moments_of_many
from noisette_plugins.metrics.frechet_distance import Gaussian, GaussianPair, distance

State = dict[str, Tensor]


def state(features: Tensor) -> State:
    return FrechetInfinity().update({}, Batch(torch.zeros(len(features), 1, 1, 1, dtype=torch.uint8), features))


def infinity(x: Tensor, y: Tensor, metric: FrechetInfinity | None = None) -> Estimate:
    return (metric or FrechetInfinity()).compute(state(x), state(y), {})["frechet_infinity"]


def frechet_distance(x: Tensor, y: Tensor) -> float:
    return distance(GaussianPair(Gaussian.of_rows(x), Gaussian.of_rows(y)))


def features(count: int, seed: int, dimensions: int = 16, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(dimensions, dimensions, generator=torch.Generator().manual_seed(99)) / dimensions**0.5
    rows = torch.randn(count, dimensions, generator=generator) * scale + shift
    return (rows + rows @ mix).relu()


def test_the_weights_end_a_line_and_leave_a_constant() -> None:
    k = torch.tensor([k for k in range(1, 6) for _ in range(k)], dtype=torch.float64)
    weights = _weights(k)
    assert float(weights @ torch.full_like(k, 3.0)) == pytest.approx(3)
    assert float(weights @ (3 + 0.7 * k)) == pytest.approx(3)
    assert float(weights @ (0.1 * k**2)) != pytest.approx(0, abs=0.1)  # control: a curve is not


@pytest.mark.parametrize("law", [{}, {"scale": 1.15, "shift": 0.05}, {"scale": 1.4}], ids=["same", "near", "far"])
def test_it_is_the_distance_of_unlimited_images(law: dict[str, float]) -> None:
    """Its mean over draws is that of 100,000 images with the same references; the plain distance's is not."""
    truth, plain, found = [], [], []
    for i in range(24):
        x, y = features(300, 1000 + i, **law), features(2000, 5000 + i)
        truth.append(frechet_distance(features(100_000, i % 2, **law), y))
        plain.append(frechet_distance(x, y))
        found.append(infinity(x, y))
    values = np.array([one.value for one in found])
    spread = values.std(ddof=1)
    assert values.mean() == pytest.approx(np.mean(truth), abs=3 * spread / 24**0.5)
    assert np.mean(plain) - np.mean(truth) > 4 * np.std(np.array(plain) - truth) / 24**0.5  # control
    assert 0.7 < np.mean([one.stderr for one in found]) / spread < 1.6


@pytest.mark.parametrize(("judged", "reference"), [(200, 200), (200, 2000)])
def test_fewer_images_than_dimensions_are_refused(judged: int, reference: int) -> None:
    """Two sets of one law in 512 dimensions are at 0; the line ends at hundreds."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(count, 512, generator=generator) for count in (judged, reference))
    with pytest.raises(DataError, match=r"cannot be extrapolated: .* parts of 40 .* features of 512 dim"):
        infinity(x, y)
    assert abs(infinity(x[:, :4], y[:, :4]).value) < 0.2  # control: enough images for four of them


def test_few_rows_give_the_distance_of_their_moments() -> None:
    theirs = Gaussian.of_rows(features(200, 1, 40))
    for count in (2, 10, 39, 40, 41, 90):
        x = features(count, 2, 40, scale=1.2)
        whole = moments_of_many(x)
        by_moments = Gaussian(count, whole["mean"], x[:1], whole["scatter"])
        found = distance(GaussianPair(Gaussian.of_rows(x), theirs))
        assert found == pytest.approx(distance(GaussianPair(by_moments, theirs)), rel=1e-10)


def test_order_decides_nothing_and_the_seed_something() -> None:
    x, y = features(120, 3), features(150, 4)
    whole = infinity(x, y)
    turned = infinity(x.flip(0), y.flip(0))
    assert turned == (pytest.approx(whole.value, rel=1e-9), pytest.approx(whole.stderr, rel=0.3))
    other = infinity(x, y, FrechetInfinity(seed=1))
    assert other.value != whole.value
    assert abs(other.value - whole.value) < 3 * whole.stderr
    assert infinity(x, y) == whole


def test_a_set_that_does_not_vary_is_a_point() -> None:
    x, y = torch.full((60, 4), 3.0), torch.full((30, 4), 1.0)
    assert infinity(x, y) == (pytest.approx(16), pytest.approx(0, abs=1e-9))
    seen = (Frechet().update({}, Batch(torch.zeros(len(z), 1, 1, 1, dtype=torch.uint8), z)) for z in (x, y))
    plain = Frechet().compute(*seen, {})
    assert plain["frechet"].value == pytest.approx(16)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="at least 50 judged images; got 49"):
        infinity(features(49, 5), features(60, 6))
    with pytest.raises(DataError, match="at least 2 reference images; got 1"):
        infinity(features(50, 5), features(1, 6))
    with pytest.raises(DataError, match="one length"):
        infinity(features(50, 5), features(50, 6, 5))
    assert infinity(features(20, 5), features(9, 6), FrechetInfinity(divisions=2)).stderr > 0
