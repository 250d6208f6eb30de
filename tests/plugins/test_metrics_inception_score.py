from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from noisette import Batch, DataError, Estimate
from noisette_plugins.metrics import InceptionScore

State = dict[str, Tensor]


def state(logits: Tensor | None, count: int = 0) -> State:
    images = torch.zeros(count if logits is None else len(logits), 1, 1, 1, dtype=torch.uint8)
    return InceptionScore().update({}, Batch(images, logits=logits))


def score(logits: Tensor, splits: int = 1) -> Estimate:
    return InceptionScore(splits=splits).compute(state(logits), {}, {})["inception_score"]


def logits(count: int, seed: int, classes: int = 12, sure: float = 2.0) -> Tensor:
    return sure * torch.randn(count, classes, generator=torch.Generator().manual_seed(seed))


def test_one_split_equals_the_public_tools() -> None:
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torchmetrics.image.inception import InceptionScore as Theirs

    rows = logits(300, 0, 1008)
    ours = score(rows).value
    fidelity = isc_features_to_metric(rows, splits=1)["inception_score_mean"]
    assert ours == pytest.approx(fidelity, rel=1e-9)
    theirs = Theirs.__new__(Theirs)
    torch.nn.Module.__init__(theirs)
    theirs.splits, theirs.features = 1, [rows.double()]
    assert ours == pytest.approx(float(theirs.compute()[0]), rel=1e-9)
    assert ours > 2  # control


def test_sure_and_various_is_the_number_of_classes() -> None:
    turns = torch.eye(10).repeat(60, 1) * 50 + torch.linspace(0, 1e-3, 600)[:, None]
    assert score(turns).value == pytest.approx(10, rel=1e-3)
    assert score(torch.zeros(50, 10) + torch.arange(50)[:, None]).value == pytest.approx(1, abs=1e-12)
    same = torch.zeros(50, 10)
    same[:, 3] = 30 + torch.arange(50)
    assert score(same).value == pytest.approx(1, abs=1e-6)


def test_splits_are_averaged_and_rise_with_their_size() -> None:
    rows = logits(2000, 1)
    one, ten = score(rows), score(rows, 10)
    assert ten.value < one.value
    means = [score(logits(200, 30 + i)).value for i in range(100)]
    assert ten.value == pytest.approx(float(np.mean(means)), abs=4 * float(np.std(means)) / 10**0.5)


@pytest.mark.parametrize("splits", [1, 10])
def test_the_error_is_that_of_other_images(splits: int) -> None:
    found = [score(logits(600, 100 + i), splits) for i in range(80)]
    spread = float(np.std([one.value for one in found], ddof=1))
    assert 0.8 < np.mean([one.stderr for one in found]) / spread < 1.3


def test_order_and_split_decide_nothing() -> None:
    rows = logits(400, 2)
    grown: State = {}
    for part in rows[torch.randperm(400, generator=torch.Generator().manual_seed(0))].split(37):
        grown = InceptionScore().merge(state(part), grown)
    found, whole = InceptionScore().compute(grown, {}, {})["inception_score"], score(rows, 10)
    assert found == (pytest.approx(whole.value, rel=1e-12), pytest.approx(whole.stderr, rel=1e-9))


def test_certainty_beyond_float_is_finite() -> None:
    rows = logits(200, 3) * 1e4
    found = score(rows)
    assert math.isfinite(found.value)
    assert 1 <= found.value <= 12


def test_it_says_what_it_lacks() -> None:
    with pytest.raises(DataError, match="expected logits"):
        state(None, 3)
    with pytest.raises(DataError, match="got 0 images"):
        InceptionScore().compute({}, {}, {})
    with pytest.raises(DataError, match=r"10 splits.*got 40 images of 1 kinds"):
        score(torch.ones(40, 5), 10)
    with pytest.raises(DataError, match="as many classes; got 12 and 5"):
        InceptionScore().merge(state(logits(4, 4)), state(logits(4, 5, 5)))
    assert score(logits(2, 6)).value >= 1
