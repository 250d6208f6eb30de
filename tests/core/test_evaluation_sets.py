from __future__ import annotations

import numpy as np
import pytest
import torch

from noisette import DataError, Noise
from noisette.evaluation import ImageSet, sets
from noisette.evaluation.sets import heldout, noise
from noisette.pixels import to_bytes


def images(count: int = 30, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *(shape or (3, 4, 4))), dtype=np.uint8)


def test_the_identity_is_that_of_the_content(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = images()
    np.save(tmp_path / "x.npy", shown)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    sha256 = ImageSet("a", shown).sha256
    assert ImageSet("b", mapped).sha256 == sha256
    monkeypatch.setattr(sets, "_CHUNK", 100)
    assert ImageSet("in small parts", shown).sha256 == sha256
    other = shown.copy()
    other[17, 2, 3, 3] ^= 1
    assert ImageSet("a", other).sha256 != sha256
    assert ImageSet("a", shown.reshape(30, 3, 2, 8)).sha256 != sha256
    assert ImageSet("a", shown[::-1]).sha256 != sha256


def test_labels_are_part_of_the_identity_but_not_of_the_images() -> None:
    labels = np.arange(30)
    plain, labelled = ImageSet("a", images()), ImageSet("a", images(), labels)
    turned = ImageSet("a", images(), labels[::-1])
    assert plain.sha256 == labelled.sha256 == turned.sha256
    assert len({plain.identity, labelled.identity, turned.identity}) == 3


def test_some_are_chosen_by_the_generator_and_keep_their_labels() -> None:
    shown, labels = images(), np.arange(30)
    everything = ImageSet("test", shown, labels)
    some = everything.subset(10, np.random.default_rng(1))
    assert len(some) == 10
    assert np.all(np.diff(some.labels) > 0)
    assert np.array_equal(some.images[:10], shown[some.labels])
    assert np.array_equal(some.images[3:5], shown[some.labels[3:5]])
    assert some.images[10:20].shape == (0, 3, 4, 4)
    assert some.sha256 == ImageSet("copied", shown[some.labels]).sha256
    again, other = (everything.subset(10, np.random.default_rng(seed)) for seed in (1, 2))
    assert some.sha256 == again.sha256 != other.sha256
    assert everything.subset(30, np.random.default_rng(1)) is everything
    assert everything.subset(99, np.random.default_rng(1)) is everything


@pytest.mark.parametrize(
    "wrong", [images().astype(np.float32), images(30, 2, 4, 4), images()[:, 0]], ids=["float", "two", "flat"]
)
def test_what_are_no_images_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"mine: expected images, uint8 \(N, 1 or 3, H, W\); got"):
        ImageSet("mine", wrong)


def test_labels_of_another_number_are_refused() -> None:
    with pytest.raises(DataError, match="expected 30 labels"):
        ImageSet("mine", images(), np.arange(29))


def test_noise_is_what_the_samplers_start_from() -> None:
    some = noise((1, 8, 8), 50, seed=7)
    assert len(some) == 50
    expected = to_bytes(Noise(7, range(50), (1, 8, 8))()).numpy()
    assert np.array_equal(some.images[:50], expected)
    assert np.array_equal(some.images[20:30], expected[20:30])
    assert some.sha256 == noise((1, 8, 8), 50, seed=7).sha256 != noise((1, 8, 8), 50, seed=8).sha256
    values = some.images[:50]
    assert abs(values.mean() - 127.5) < 5
    assert 0.28 < np.isin(values, (0, 255)).mean() < 0.36  # a normal is beyond one deviation 31.7 % of the time


def test_held_out_images_are_drawn_from_the_whole_split() -> None:
    class Data:
        has_test_split = True

        def images(self, split: str) -> np.ndarray:
            assert split == "test"
            return images(40, 1, 2, 2)

        def labels(self, split: str) -> np.ndarray:
            return np.repeat(np.arange(4), 10)  # sorted by class, as many sets are

    before = torch.get_rng_state()
    some = heldout(Data(), 16, seed=0)
    assert len(some) == 16
    assert set(some.labels.tolist()) == {0, 1, 2, 3}
    assert torch.equal(torch.get_rng_state(), before)
