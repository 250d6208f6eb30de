from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from noisette import Batch, DataError
from noisette.evaluation.sets import noise
from noisette_plugins.metrics import Recognised

State = dict[str, Tensor]


def state(images: Tensor, labels: Tensor | None = None) -> State:
    return Recognised().update({}, Batch(images, labels=labels))


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    images = torch.from_numpy((found.images * 255 / 16).round().astype(np.uint8))[:, None]
    return images[order], torch.from_numpy(found.target.astype(np.int64))[order]


@pytest.fixture(scope="module")
def real(digits: tuple[Tensor, Tensor]) -> tuple[State, State]:
    """Reference and held-out digits."""
    images, labels = digits
    return state(images[:1300], labels[:1300]), state(images[1300:], labels[1300:])


def test_real_digits_score_nine_tenths_and_the_classifier_is_good(real: tuple[State, State]) -> None:
    found = Recognised().compute({"images": real[1]["images"]}, real[0], real[1])
    assert found["recognised"].value == pytest.approx(0.9, abs=0.003)
    assert found["classes_seen"].value == 10
    assert found["classifier_accuracy"].value > 0.97


def test_what_is_no_digit_is_not_recognised(real: tuple[State, State], digits: tuple[Tensor, Tensor]) -> None:
    images = digits[0][1300:]
    strangers = {
        "noise": torch.from_numpy(noise((1, 8, 8), 300, 0).images[:300]),
        "black": torch.zeros(20, 1, 8, 8, dtype=torch.uint8),
        "white": torch.full((20, 1, 8, 8), 255, dtype=torch.uint8),
        "blends": (images // 2 + images.flip(0) // 2),
        "smeared": torch.nn.functional.avg_pool2d(images.float(), 5, 1, 2).byte(),
    }
    metric = Recognised(trees=100)
    shares = {name: metric.compute(state(some), *real)["recognised"].value for name, some in strangers.items()}
    assert max(shares[name] for name in ("noise", "black", "white")) == 0
    assert shares["blends"] < 0.35
    assert shares["smeared"] < 0.1
    nearly = images.int() + torch.randint(-8, 9, images.shape, generator=torch.Generator().manual_seed(0))
    assert metric.compute(state(nearly.clamp(0, 255).byte()), *real)["recognised"].value > 0.8  # control


def test_classes_seen_shows_what_the_share_hides(real: tuple[State, State], digits: tuple[Tensor, Tensor]) -> None:
    """A generator that repeats the digits of one class scores well, and is given away by the classes."""
    images, labels = digits
    collapsed = images[1300:][labels[1300:] == 0]
    found = Recognised(trees=100).compute(state(collapsed), *real)
    assert found["recognised"].value > 0.85
    assert found["classes_seen"].value == 1


def test_the_order_of_images_does_not_matter(real: tuple[State, State]) -> None:
    metric = Recognised(trees=20)
    reference, heldout = real
    order = torch.randperm(1300, generator=torch.Generator().manual_seed(1))
    shuffled = {key: rows[order] for key, rows in reference.items()}
    assert metric.compute(heldout, shuffled, heldout) == metric.compute(heldout, reference, heldout)
    assert Recognised(trees=20, seed=1).compute(heldout, reference, heldout) != metric.compute(
        heldout, reference, heldout
    )


def test_the_error_is_binomial_and_never_nothing(real: tuple[State, State]) -> None:
    found = Recognised(trees=20).compute(state(torch.zeros(50, 1, 8, 8, dtype=torch.uint8)), *real)["recognised"]
    assert found.value == 0
    assert 0.01 < found.stderr < 0.05


def test_it_says_what_it_lacks(real: tuple[State, State]) -> None:
    reference, heldout = real
    metric = Recognised(trees=5)
    few = {key: rows[:9] for key, rows in heldout.items()}
    one_class = {"images": reference["images"], "labels": torch.zeros(1300, dtype=torch.int64)}
    for arguments, message in (
        ((heldout, reference, {}), "10 held-out images.*got 0"),
        ((heldout, reference, few), "10 held-out images.*got 9"),
        ((heldout, {"images": reference["images"]}, heldout), "labels of the reference"),
        ((heldout, reference, {"images": heldout["images"]}), "labels of the held-out"),
        (({}, reference, heldout), "got none"),
        ((heldout, {}, heldout), "got none"),
        ((heldout, one_class, heldout), "2 classes"),
        ((state(torch.zeros(3, 3, 8, 8, dtype=torch.uint8)), reference, heldout), "one shape"),
    ):
        with pytest.raises(DataError, match=message):
            metric.compute(*arguments)
    assert metric.compute(heldout, reference, heldout)["recognised"].value > 0  # control
