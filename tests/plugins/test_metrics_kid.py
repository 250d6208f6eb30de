from __future__ import annotations

import pytest
import torch
from torch import Tensor

from noisette import Batch, DataError, Estimate
from noisette_plugins.metrics import KID, discrepancy
from noisette_plugins.metrics.discrepancy import polynomial

State = dict[str, Tensor]


def state(features: Tensor) -> State:
    images = torch.zeros(len(features), 1, 1, 1, dtype=torch.uint8)
    return KID().update({}, Batch(images, features))


def kid(x: Tensor, y: Tensor, metric: KID | None = None) -> Estimate:
    return (metric or KID()).compute(state(x), state(y), {})["kid"]


def features(count: int, seed: int, dimensions: int = 16, scale: float = 1.0) -> Tensor:
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed)).relu() * scale


def test_golden_number() -> None:
    """From the reference: rows of the unit matrix against those of twice the unit matrix."""
    assert kid(torch.eye(4), 2 * torch.eye(4)).value == -1.1875


def test_whole_sets_equal_the_public_tools() -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torchmetrics.image.kid import poly_mmd

    x, y = features(60, 0).double(), features(60, 1, scale=1.2).double()
    ours = discrepancy.discrepancy({"features": x}, {"features": y}, subsets=100, size=1000, seed=0).value
    assert ours == pytest.approx(float(poly_mmd(x, y)), rel=1e-9)
    fidelity = kid_features_to_metric(
        x, y, kid_subsets=1, kid_subset_size=60, kid_kernel="poly", kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1, rng_seed=0, verbose=False,
    )  # fmt: skip
    assert ours == pytest.approx(fidelity["kernel_inception_distance_mean"], rel=1e-9)


def test_the_mean_over_subsets_is_that_of_the_definition() -> None:
    """Loops over subsets and pairs, as the paper writes it, on the very subsets that were drawn."""
    x, y = features(12, 2, 3).double(), features(9, 3, 3).double()
    ours = discrepancy.discrepancy({"features": x}, {"features": y}, subsets=7, size=5, seed=3)
    rows_x, rows_y = (discrepancy._rows({"features": rows}, "") for rows in (x, y))
    values = []
    picks = (discrepancy._draw_subsets(12, 5, 7, 3, "judged"), discrepancy._draw_subsets(9, 5, 7, 3, "reference"))
    for a, b in zip(*picks, strict=True):
        across = sum(float(polynomial(rows_x[i : i + 1], rows_y[j : j + 1])) for i in a for j in b)
        within = sum(
            float(polynomial(rows[i : i + 1], rows[j : j + 1]))
            for rows, pick in ((rows_x, a), (rows_y, b))
            for i in pick
            for j in pick
            if i != j
        )
        values.append(within / 20 - 2 * across / 25)
        assert len(set(a.tolist())) == len(set(b.tolist())) == 5
    assert ours.value == pytest.approx(sum(values) / 7, rel=1e-12)


def test_sets_too_large_for_all_pairs_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = features(50, 4), features(80, 5)
    metric = KID(subsets=6, size=20)
    at_once = kid(x, y, metric)
    monkeypatch.setattr(discrepancy, "_ALL_PAIRS", 79)
    one_by_one = kid(x, y, metric)
    assert one_by_one.value == pytest.approx(at_once.value, rel=1e-10)
    assert one_by_one.stderr == pytest.approx(at_once.stderr, rel=0.5)


@pytest.mark.parametrize("scale", [1.0, 1.3])
@pytest.mark.parametrize(("n", "m", "size"), [(80, 80, 1000), (60, 120, 1000), (80, 80, 20)])
def test_the_standard_error_is_that_of_other_images(n: int, m: int, size: int, scale: float) -> None:
    """Over 150 draws from the same two laws, the error told is the spread seen, or a little more."""
    metric = KID(size=size, subsets=50)
    found = [kid(features(n, 1000 + i, scale=scale), features(m, 5000 + i), metric) for i in range(150)]
    spread = float(torch.tensor([estimate.value for estimate in found]).std())
    told = sum(estimate.stderr for estimate in found) / len(found)
    assert 0.75 < told / spread < 1.4
    if scale == 1.0:
        assert abs(sum(estimate.value for estimate in found) / 150) < 4 * spread / 150**0.5  # unbiased


def test_order_and_split_give_the_same_bits() -> None:
    x, y = features(90, 6), features(70, 7)
    metric = KID(subsets=10, size=30)
    whole = kid(x, y, metric)
    order = torch.randperm(90, generator=torch.Generator().manual_seed(0))
    grown: State = {}
    for part in x[order].split(13):
        grown = metric.merge(grown, state(part))
    assert metric.compute(grown, state(y.flip(0)), {})["kid"] == whole
    assert kid(x, y, KID(subsets=10, size=30, seed=1)) != whole  # control: other subsets are seen


def test_alike_is_near_zero_and_unlike_is_far() -> None:
    alike, unlike = kid(features(300, 8), features(300, 9)), kid(features(300, 8, scale=1.5), features(300, 9))
    assert abs(alike.value) < 3 * alike.stderr
    assert unlike.value > 5 * unlike.stderr


@pytest.mark.parametrize("counts", [(1, 9), (9, 1), (0, 9)])
def test_fewer_than_two_images_are_refused(counts: tuple[int, int]) -> None:
    x, y = (state(features(count, 0)) if count else {} for count in counts)
    with pytest.raises(DataError, match=r"at least 2 (judged|reference) images.*got [01]"):
        KID().compute(x, y, {})
    assert KID().compute(state(features(2, 0)), state(features(9, 0)), {})["kid"].stderr >= 0


def test_features_of_another_length_are_refused() -> None:
    with pytest.raises(DataError, match="one length; got 3 and 4"):
        kid(features(5, 0, 3), features(5, 0, 4))
