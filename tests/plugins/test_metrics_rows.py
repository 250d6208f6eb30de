from __future__ import annotations

import gc

import pytest
import torch

from noisette import Batch, DataError
from noisette_plugins.metrics.feature_statistics import (
    TensorCache,
    canonical_order,
    concat_states,
    count,
    read_features,
)


@pytest.mark.parametrize(
    "rows",
    [
        torch.randn(500, 7, generator=torch.Generator().manual_seed(0)),
        torch.randint(0, 256, (2100, 1, 2, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8),
    ],
    ids=["features", "images"],
)
def test_the_canonical_order_does_not_depend_on_the_order(rows: torch.Tensor) -> None:
    shuffled = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))]
    assert not torch.equal(shuffled, rows)
    assert torch.equal(rows[canonical_order(rows)], shuffled[canonical_order(shuffled)])


def test_the_canonical_order_is_no_order_of_values() -> None:
    """A subset that is the beginning of the order must not be the dark images."""
    rows = torch.arange(1000, dtype=torch.float32)[:, None].expand(-1, 3)
    ranks = canonical_order(rows).double()
    assert abs(float(ranks[:500].mean()) - 499.5) < 60
    assert sorted(ranks.tolist()) == list(range(1000))


def test_the_canonical_order_tells_places_apart() -> None:
    rows = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.uint8)
    turned = rows[[2, 0, 1]]
    assert torch.equal(rows[canonical_order(rows)], turned[canonical_order(turned)])
    assert len(canonical_order(rows[:0])) == 0


def test_joined_states_keep_what_both_have() -> None:
    a, b = {"x": torch.zeros(2, 3)}, {"x": torch.ones(1, 3)}
    assert count(concat_states(a, b), "x") == 3
    assert count(concat_states({}, b), "x") == 1
    assert count({}, "x") == 0
    for other in ({"y": torch.ones(1, 3)}, {"x": torch.ones(1, 4)}):
        with pytest.raises(DataError, match="cannot join"):
            concat_states(a, other)


@pytest.mark.parametrize("features", [None, torch.zeros(3), torch.zeros(2, 5)])
def test_missing_features_are_refused(features: torch.Tensor | None) -> None:
    with pytest.raises(DataError, match=r"expected features of shape \(3, D\)"):
        read_features(Batch(torch.zeros(3, 1, 1, 1, dtype=torch.uint8), features))


def test_memory_lasts_as_long_as_its_source() -> None:
    memory, calls = TensorCache(), []

    def make() -> int:
        calls.append(1)
        return len(calls)

    source, equal = torch.zeros(3), torch.zeros(3)
    assert memory.get(source, "a", make) == memory.get(source, "a", make) == 1
    assert memory.get(source, "b", make) == 2
    assert memory.get(equal, "a", make) == 3
    assert len(memory._values) == 2
    del equal
    gc.collect()
    assert len(memory._values) == 1
