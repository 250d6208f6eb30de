from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from noisette import Batch, DataError
from noisette_plugins.metrics import Frechet, feature_statistics
from noisette_plugins.metrics import frechet_distance as module
from noisette_plugins.metrics.feature_statistics import SAMPLE_ROWS, merge_moments, moments
from noisette_plugins.metrics.frechet_distance import Gaussian, GaussianPair
from noisette_plugins.metrics.frechet_distance import distance as value_alone

State = dict[str, Tensor]


def state(features: Tensor) -> State:
    images = torch.zeros(len(features), 1, 1, 1, dtype=torch.uint8)
    return Frechet().update({}, Batch(images, features))


def distance(x: Tensor, y: Tensor) -> float:
    return Frechet().compute(state(x), state(y), {})["frechet"].value


def frechet_distance(x: Tensor, y: Tensor) -> float:
    return value_alone(GaussianPair(Gaussian.of_rows(x), Gaussian.of_rows(y)))


def features(count: int, dimensions: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    """Correlated vectors that are often 0, as rectified features are."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(dimensions, dimensions, generator=torch.Generator().manual_seed(99)) / dimensions**0.5
    rows = torch.randn(count, dimensions, generator=generator) * scale + shift
    return (rows + rows @ mix).relu()


def exact(x: Tensor, y: Tensor) -> float:
    """The distance without any root of a matrix: tr (C₁C₂)^½ is the nuclear norm of X Yᵀ for centred X, Y."""
    x, y = x.double(), y.double()
    a, b = ((rows - rows.mean(0)) / math.sqrt(len(rows) - 1) for rows in (x, y))
    overlap = torch.linalg.svdvals(a @ b.T).sum()
    return float((x.mean(0) - y.mean(0)).square().sum() + a.square().sum() + b.square().sum() - 2 * overlap)


SIZES = [(400, 300, 32), (40, 300, 64), (300, 40, 64), (30, 20, 64), (2, 2, 16), (2, 500, 8)]


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_it_is_exact_for_more_and_for_fewer_images_than_dimensions(n: int, m: int, d: int) -> None:
    x, y = features(n, d, 0), features(m, d, 1, scale=1.2, shift=0.1)
    assert distance(x, y) == pytest.approx(exact(x, y), rel=1e-10)


@pytest.mark.parametrize(("n", "m", "d"), [(400, 300, 32), (30, 300, 64), (30, 20, 64)])
def test_it_equals_the_public_tools(n: int, m: int, d: int) -> None:
    from scipy.linalg import sqrtm
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torchmetrics.image.fid import _compute_fid

    x, y = features(n, d, 2).double(), features(m, d, 3, scale=1.3).double()
    ours = frechet_distance(x, y)
    fidelity = fid_statistics_to_metric(fid_features_to_statistics(x), fid_features_to_statistics(y), verbose=False)
    assert ours == pytest.approx(fidelity["frechet_inception_distance"], rel=1e-6)
    assert ours == pytest.approx(float(_compute_fid(x.mean(0), x.T.cov(), y.mean(0), y.T.cov())), rel=1e-6)
    a, b = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
    shift = np.square(x.mean(0).numpy() - y.mean(0).numpy()).sum()
    pytorch_fid = shift + np.trace(a) + np.trace(b) - 2 * np.trace(sqrtm(a @ b).real)
    assert ours == pytest.approx(pytorch_fid, rel=1e-6)


def test_equal_covariances_leave_the_distance_of_the_means() -> None:
    x = features(200, 16, 4).double()
    move = torch.linspace(-1, 2, 16, dtype=torch.float64)
    assert frechet_distance(x, x + move) == pytest.approx(float(move.square().sum()), rel=1e-12)


def test_scaled_gaussians_are_as_far_as_their_roots() -> None:
    """For covariances C and s² C the distance is (s - 1)² tr C."""
    x = features(200, 16, 5).double()
    x = x - x.mean(0)
    assert frechet_distance(x, 3 * x) == pytest.approx(4 * float(x.T.cov().trace()), rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(500, 8), (20, 64), (2, 4)])
def test_a_set_is_at_no_distance_from_itself(n: int, d: int) -> None:
    x = features(n, d, 6, scale=50)
    assert 0 <= distance(x, x) <= 1e-9 * float(x.square().sum() / n)


def test_dead_and_repeated_features_give_a_right_value() -> None:
    x, y = features(100, 12, 7), features(80, 12, 8, scale=2)
    for rows in (x, y):
        rows[:, 3] = 0
        rows[:, 5] = rows[:, 4]
        rows[:, 6] = 7
    assert distance(x, y) == pytest.approx(exact(x, y), rel=1e-7)


def test_sets_of_one_repeated_image_differ_by_their_means() -> None:
    x, y = torch.full((5, 4), 3.0), torch.full((9, 4), 1.0)
    assert distance(x, y) == pytest.approx(16.0, rel=1e-12)
    assert distance(x, x) == 0


@pytest.mark.parametrize("counts", [(1, 10), (10, 1), (0, 10), (10, 0)])
def test_fewer_than_two_images_are_refused(counts: tuple[int, int]) -> None:
    x, y = (features(count, 4, 9) if count else None for count in counts)
    with pytest.raises(DataError, match=r"at least 2 (judged|reference) images.*got [01]"):
        Frechet().compute(state(x) if x is not None else {}, state(y) if y is not None else {}, {})
    assert distance(features(2, 4, 9), features(10, 4, 9)) >= 0


def test_features_that_are_not_finite_or_of_another_length_are_refused() -> None:
    rows = features(4, 3, 10)
    rows[2, 1] = float("nan")
    with pytest.raises(DataError, match="finite"):
        state(rows)
    with pytest.raises(DataError, match="one length; got 3 and 4"):
        distance(features(4, 3, 10), features(4, 4, 10))


@pytest.mark.parametrize("parts", [[1] * 60, [59, 1], [7] * 8 + [4]])
def test_merging_is_one_pass(parts: list[int]) -> None:
    x = features(60, 8, 11) + 1000  # a mean far from 0, where naive sums of squares lose their digits
    whole = moments(x)
    grown: State = {}
    for part in x.split(parts):
        grown = merge_moments(grown, moments(part))
    assert int(grown["count"]) == 60
    assert torch.allclose(grown["mean"], whole["mean"], rtol=1e-14)
    assert torch.allclose(grown["scatter"], whole["scatter"], rtol=1e-9, atol=1e-9)
    assert torch.allclose(whole["scatter"] / 59, x.double().T.cov(), rtol=1e-9, atol=1e-12)


def test_a_changed_reference_is_not_mistaken_for_a_remembered_one() -> None:
    x, y = features(50, 6, 12), features(50, 6, 13, scale=2)
    first = distance(x, y)
    assert distance(x, features(50, 6, 14, scale=3)) != first
    assert distance(x, y) == first


LAWS = {"near": {"scale": 1.15, "shift": 0.05}, "far": {"scale": 1.4, "shift": 0.3}}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("n", "m", "d"), [(24, 60, 48), (60, 24, 48), (200, 200, 24)])
def test_the_standard_error_is_that_of_other_images(law: str, n: int, m: int, d: int) -> None:
    """Over 100 draws from the same two laws, the error told is the spread seen, or a little more."""
    draws = [(features(n, d, 1000 + i, **LAWS[law]), features(m, d, 5000 + i)) for i in range(100)]
    found = [Frechet().compute(state(x), state(y), {})["frechet"] for x, y in draws]
    spread = float(torch.tensor([estimate.value for estimate in found]).std())
    told = sum(estimate.stderr for estimate in found) / len(found)
    assert 0.8 < told / spread < 1.35


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m", "d", "within"), [(24, 60, 48, 0.25), (200, 300, 24, 0.1)])
def test_the_standard_error_is_near_the_jackknifes(n: int, m: int, d: int, within: float) -> None:
    x, y = features(n, d, 20, scale=1.2), features(m, d, 21)
    told = Frechet().compute(state(x), state(y), {})["frechet"].stderr
    variance = 0.0
    for rows, left in ((x, lambda kept: exact(x[kept], y)), (y, lambda kept: exact(x, y[kept]))):
        places = torch.arange(len(rows))
        values = torch.tensor([left(places != place) for place in places])
        variance += (len(rows) - 1) / len(rows) * float((values - values.mean()).square().sum())
    assert told == pytest.approx(math.sqrt(variance), rel=within)


def test_more_images_than_the_sample_holds_keep_their_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample is chosen by content: neither order nor split decides it, and it tells the variance of all."""
    x, y = features(6000, 8, 22, scale=1.3), features(500, 8, 23)
    whole = state(x)
    assert len(whole["sample"]) == SAMPLE_ROWS < len(x)
    grown: State = {}
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    for part in x[order].split(700):
        grown = Frechet().merge(state(part), grown)
    assert torch.equal(grown["sample"], whole["sample"])
    sampled = Frechet().compute(whole, state(y), {})["frechet"]
    monkeypatch.setattr(feature_statistics, "SAMPLE_ROWS", len(x))
    full = Frechet().compute(state(x), state(y), {})["frechet"]
    assert sampled.value == pytest.approx(full.value, rel=1e-12)
    assert sampled.stderr == pytest.approx(full.stderr, rel=0.1)


def test_sets_that_do_not_vary_have_no_error() -> None:
    x, y = torch.full((5, 4), 3.0), torch.full((9, 4), 1.0)
    assert Frechet().compute(state(x), state(y), {})["frechet"].stderr == 0


@pytest.mark.parametrize(("n", "m"), [(400, 300), (400, 60), (60, 400)])
@pytest.mark.parametrize("law", [{"scale": 1.1}, {"scale": 1.4, "shift": 0.3}], ids=["near", "far"])
def test_the_largest_eigenvectors_tell_the_error(
    n: int, m: int, law: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where dimensions are many the error is told by some of the eigenvectors; the value by all eigenvalues."""
    x, y = features(n, 96, 30, **law), features(m, 96, 31)
    all_of_them = Frechet().compute(state(x), state(y), {})["frechet"]
    monkeypatch.setattr(module, "_LEADING", 28)
    some = Frechet().compute(state(x), state(y), {})["frechet"]
    assert some.value == pytest.approx(all_of_them.value, rel=1e-10)
    assert some.stderr == pytest.approx(all_of_them.stderr, rel=0.2)
    if min(n, m) > 96:
        assert some.stderr != all_of_them.stderr  # control: it went the other way


def test_both_roots_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = features(200, 24, 32, scale=1.2), features(150, 24, 33)
    by_cholesky = Frechet().compute(state(x), state(y), {})["frechet"]
    monkeypatch.setattr(module, "_SINGULAR", 2.0)
    by_eigenvectors = Frechet().compute(state(x), state(y), {})["frechet"]
    assert by_cholesky == (
        pytest.approx(by_eigenvectors.value, rel=1e-10),
        pytest.approx(by_eigenvectors.stderr, rel=1e-8),
    )


def test_dimensions_in_which_nothing_varies_move_neither_value_nor_error() -> None:
    x, y = features(700, 20, 4), features(700, 20, 5, scale=1.2)
    turn = torch.linalg.qr(
        torch.randn(560, 20, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    ).Q.T
    few = Frechet().compute(state(x.double()), state(y.double()), {})["frechet"]
    many = Frechet().compute(state(x.double() @ turn), state(y.double() @ turn), {})["frechet"]
    assert few.stderr is not None
    assert many.value == pytest.approx(few.value, rel=1e-5)
    assert many.stderr == pytest.approx(few.stderr, rel=1e-3)


@pytest.mark.parametrize(("n", "m"), [(700, 700), (560, 700), (700, 560)])
def test_variances_that_fall_off_to_nothing_move_neither_value_nor_error(n: int, m: int) -> None:
    """As those of features that never fire: down to 1e-40 of the largest, where every root is rounding."""
    fall = torch.logspace(0, -20, 600)
    x, y = features(n, 600, 7) * fall, features(m, 600, 8, scale=1.2) * fall
    few, many = (Frechet().compute(state(x[:, :kept]), state(y[:, :kept]), {})["frechet"] for kept in (200, 600))
    assert many.value == pytest.approx(few.value, rel=1e-6)
    assert many.stderr == pytest.approx(few.stderr, rel=1e-2)
