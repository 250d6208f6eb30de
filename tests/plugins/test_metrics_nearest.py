from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from noisette import Batch, DataError, Estimate, Neighbours
from noisette_plugins.metrics import Nearest
from noisette_plugins.metrics.memorisation import Distances, chance_nearer

State = dict[str, Tensor]


def state(features: Tensor) -> State:
    return Nearest().update({}, Batch(torch.zeros(len(features), 1, 1, 1, dtype=torch.uint8), features))


def results(x: Tensor, y: Tensor, held: Tensor | None = None) -> dict[str, Estimate]:
    return Nearest().compute(state(x), state(y), {} if held is None else state(held))


def features(count: int, seed: int, dimensions: int = 8, shift: float = 0.0) -> Tensor:
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed)) + shift


def test_the_distance_is_the_mean_of_the_nearest() -> None:
    x, y = features(30, 0), features(50, 1)
    apart = torch.cdist(x.double(), y.double()).min(dim=1).values
    found = results(x, y)["nearest_distance"]
    assert found.value == pytest.approx(float(apart.mean()), rel=1e-12)
    own = float(apart.std(correction=0)) / math.sqrt(30)
    assert own * (1 - 1e-9) <= found.stderr < 2 * own  # the reference has a part of it


def test_a_reference_that_was_freed_is_not_taken_for_the_next_one() -> None:
    judged, shifts = state(features(20, 0)), [float(shift) for shift in range(30)]
    for shift in shifts:  # each reference is freed before the next, which may come to lie in its place
        reference = state(features(20, 1, shift=shift))
        found = Nearest().compute(judged, reference, {})["nearest_distance"].value
        apart = torch.cdist(judged["features"].double(), reference["features"].double()).amin(dim=1)
        assert found == pytest.approx(float(apart.mean()), rel=1e-9)
        del reference


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_copies_are_counted(share: float) -> None:
    """Of 200 images some are training images with a little noise; as many new ones are not counted."""
    y, fresh = features(400, 2), features(200, 3)
    copies = round(200 * share)
    x = torch.cat([y[100 : 100 + copies] + 1e-3, fresh[copies:]])
    found = results(x, y, features(300, 4))
    assert found["memorised"].value == pytest.approx(share, abs=0.011)
    assert found["memorised"].stderr > 0
    if share == 1:
        assert found["nearer_than_heldout"].value == 1


def test_images_as_new_as_held_out_ones_are_nearer_half_the_time() -> None:
    values = [results(features(150, i), features(200, 50 + i), features(100, 90 + i)) for i in range(40)]
    found = [value["nearer_than_heldout"] for value in values]
    shares = np.array([one.value for one in found])
    assert shares.mean() == pytest.approx(0.5, abs=3 * shares.std() / 40**0.5)
    assert 0.8 < np.mean([one.stderr for one in found]) / shares.std(ddof=1) < 1.4
    far = results(features(150, 7, shift=2), features(200, 8), features(100, 9))
    assert far["nearer_than_heldout"].value < 0.05


def test_the_share_that_is_nearer_counts_equal_distances_half() -> None:
    ours, theirs = torch.tensor([1.0, 2.0, 2.0]), torch.tensor([2.0, 3.0])
    pairs = [1.0 if a < b else 0.5 if a == b else 0.0 for a in ours for b in theirs]
    sets = [Distances(some[None, :, None].expand(-1, -1, 2), torch.arange(len(some))) for some in (ours, theirs)]
    assert chance_nearer(*sets).value == pytest.approx(sum(pairs) / 6)
    assert chance_nearer(sets[1], sets[1]).value == 0.5


def test_held_out_images_beside_themselves() -> None:
    held = features(50, 10)
    assert results(held, features(80, 11), held)["nearer_than_heldout"].value == 0.5
    assert "nearer_than_heldout" not in results(held, features(80, 11))


def test_an_exact_copy_of_a_image_that_the_reference_has_twice_is_memorised() -> None:
    y = torch.cat([features(40, 12), features(1, 13), features(1, 13)])
    found = results(torch.cat([features(1, 13), features(3, 14)]), y)
    assert found["memorised"].value == 0.25


def test_the_nearest_images_are_shown_with_their_neighbours() -> None:
    y, fresh = features(60, 15), features(20, 16)
    x = torch.cat([fresh[:11], y[42:43] + 0.01, fresh[11:]])
    shown = Nearest(shown=3, beside=4).neighbours(state(x), state(y))
    assert len(shown) == 3
    assert shown[0] == Neighbours(11, shown[0].nearest, shown[0].distances)
    assert shown[0].nearest[0] == 42
    apart = torch.cdist(x.double(), y.double())
    for place, beside, distances in shown:
        assert beside == apart[place].topk(4, largest=False).indices.tolist()
        assert distances == pytest.approx(apart[place, beside].tolist(), rel=1e-9)
    few = Nearest(shown=30, beside=100).neighbours(state(x), state(y))
    assert len(few) == 21
    assert len(few[0].nearest) == 60


def test_it_says_what_it_lacks() -> None:
    x, y = features(5, 17), features(2, 18)
    with pytest.raises(DataError, match="at least 2 reference images; got 1"):
        results(x, y[:1])
    with pytest.raises(DataError, match="at least 1 judged images; got 0"):
        Nearest().compute({}, state(y), {})
    with pytest.raises(DataError, match="one length"):
        results(x, features(9, 19, 3))
    assert results(x[:1], y)["nearest_distance"].stderr == 0
