from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from noisette import Batch, DataError, Estimate
from noisette_plugins.metrics import DensityCoverage, PrecisionRecall, neighbours
from noisette_plugins.metrics.feature_rows import FeatureRows

State = dict[str, Tensor]
METRICS = [PrecisionRecall(), DensityCoverage()]


def state(features: Tensor) -> State:
    return PrecisionRecall().update({}, Batch(torch.zeros(len(features), 1, 1, 1, dtype=torch.uint8), features))


def results(metric: FeatureRows, x: Tensor, y: Tensor) -> dict[str, Estimate]:
    return metric.compute(state(x), state(y), {})


def features(count: int, seed: int, dimensions: int = 8, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(count, dimensions, generator=generator) * scale + shift).relu()


def written_out(x: Tensor, y: Tensor, k: int) -> dict[str, float]:
    """The definitions, image by image."""
    x, y = x.double(), y.double()

    def radius(rows: Tensor, at: int) -> float:
        return sorted(float((rows[at] - other).norm()) for index, other in enumerate(rows) if index != at)[k - 1]

    balls_y, balls_x = [radius(y, i) for i in range(len(y))], [radius(x, j) for j in range(len(x))]
    apart = [[float((one - other).norm()) for other in y] for one in x]
    inside_y = [[apart[j][i] <= balls_y[i] for i in range(len(y))] for j in range(len(x))]
    return {
        "precision": sum(map(any, inside_y)) / len(x),
        "recall": sum(any(apart[j][i] <= balls_x[j] for j in range(len(x))) for i in range(len(y))) / len(y),
        "density": sum(map(sum, inside_y)) / (k * len(x)),
        "coverage": sum(any(inside_y[j][i] for j in range(len(x))) for i in range(len(y))) / len(y),
    }


@pytest.mark.parametrize(("n", "m", "k"), [(40, 60, 3), (30, 20, 5), (25, 25, 1)])
def test_the_values_are_those_of_the_definitions(n: int, m: int, k: int) -> None:
    x, y = features(n, 0, shift=0.4), features(m, 1)
    expected = written_out(x, y, k)
    found = results(PrecisionRecall(k=k), x, y) | results(DensityCoverage(k=k), x, y)
    assert {name: estimate.value for name, estimate in found.items()} == pytest.approx(expected, rel=1e-12)
    assert len({round(value, 3) for value in expected.values()}) > 2  # control: they are told apart


def test_precision_and_recall_equal_torch_fidelitys() -> None:
    from torch_fidelity.metric_prc import calculate_precision_recall_full

    x, y = features(300, 2, 16, shift=0.2), features(400, 3, 16)
    found = results(PrecisionRecall(), x, y)
    precision, recall = calculate_precision_recall_full(x.double(), y.double(), neighborhood=3)
    assert found["precision"].value == pytest.approx(precision, rel=1e-6)
    assert found["recall"].value == pytest.approx(recall, rel=1e-6)


def test_images_drawn_alike_have_the_density_and_coverage_of_the_paper() -> None:
    """Naeem et al. 2020: a density of 1, and the coverage of lemma 2."""
    n, m, k = 400, 300, 5
    found = [
        results(DensityCoverage(), features(n, 10 + i, 4, shift=9), features(m, 60 + i, 4, shift=9))
        for i in range(8)
    ]
    coverage = 1 - math.prod((m - 1 - i) / (m + n - 1 - i) for i in range(k))
    assert np.mean([one["density"].value for one in found]) == pytest.approx(1, abs=0.03)
    assert np.mean([one["coverage"].value for one in found]) == pytest.approx(coverage, abs=0.01)


@pytest.mark.parametrize("law", [{}, {"scale": 1.2}, {"shift": 0.5}], ids=["same", "wider", "moved"])
def test_the_errors_are_those_of_other_images_or_larger(law: dict[str, float]) -> None:
    """Over 60 draws from the same two laws; a binomial error was as little as a fifth of what is seen."""
    draws = [(features(120, 1000 + i, **law), features(150, 5000 + i)) for i in range(60)]
    for metric in METRICS:
        found = [results(metric, x, y) for x, y in draws]
        for name in found[0]:
            spread = float(np.std([one[name].value for one in found], ddof=1))
            told = float(np.mean([one[name].stderr for one in found]))
            assert 0.8 < told / spread < 1.9, name


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_order_and_split_decide_nothing(metric: FeatureRows, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = features(90, 6), features(70, 7)
    whole = results(metric, x, y)
    order = torch.randperm(90, generator=torch.Generator().manual_seed(0))
    grown: State = {}
    for part in x[order].split(13):
        grown = metric.merge(state(part), grown)
    found = metric.compute(grown, state(y.flip(0)), {})
    for name, (value, stderr) in whole.items():
        assert found[name] == (pytest.approx(value, rel=1e-12), pytest.approx(stderr, rel=1e-12))
    monkeypatch.setattr(neighbours, "_BLOCK", 71)  # a row of distances at a time
    assert results(metric, x.clone(), y.clone()) == whole


def test_a_set_beside_itself_and_repeated_images() -> None:
    x = features(60, 8)
    same = results(PrecisionRecall(), x, x) | results(DensityCoverage(), x, x)
    assert [same[name].value for name in ("precision", "recall", "coverage")] == [1, 1, 1]
    repeated = torch.ones(40, 8)
    found = results(PrecisionRecall(), repeated, repeated) | results(DensityCoverage(), repeated, repeated)
    assert [found[name].value for name in ("precision", "recall", "coverage")] == [1, 1, 1]
    one = results(PrecisionRecall(), repeated, x)
    assert one["recall"].value == 0
    assert 0 < one["recall"].stderr < 0.1


@pytest.mark.parametrize(("count", "dimensions"), [(200, 16), (700, 40)])
def test_a_border_belongs_to_its_ball_also_where_it_was_rounded(count: int, dimensions: int) -> None:
    """In a set beside itself each ball holds its own image and k others, one of them on its border."""
    x = features(count, 14, dimensions, shift=3)
    for k in (3, 5):
        assert results(DensityCoverage(k=k), x, x)["density"].value == pytest.approx(1 + 1 / k, abs=1e-12)


def test_what_moves_apart_is_told_apart() -> None:
    """A broad generator recalls all and is rarely right; one that repeats itself the other way round."""
    y = features(300, 9)
    broad, narrow = (results(PrecisionRecall(), features(300, 10, scale=scale), y) for scale in (2.0, 0.3))
    assert broad["recall"].value > 0.9 > 0.5 > broad["precision"].value
    assert narrow["precision"].value > 0.9 > 0.3 > narrow["recall"].value


@pytest.mark.parametrize(("metric", "least"), [(PrecisionRecall(), 8), (DensityCoverage(), 12)])
def test_too_few_images_are_refused(metric: FeatureRows, least: int) -> None:
    enough, few = features(least, 11), features(least - 1, 12)
    with pytest.raises(DataError, match=f"at least {least} judged images; got {least - 1}"):
        results(metric, few, enough)
    with pytest.raises(DataError, match=f"at least {least} reference images; got {least - 1}"):
        results(metric, enough, few)
    assert all(math.isfinite(estimate.value) for estimate in results(metric, enough, enough + 1).values())
    with pytest.raises(DataError, match="one length; got 8 and 5"):
        results(metric, enough, features(30, 13, 5))
