from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

from noisette import DataError
from noisette.evaluation import ImageSet, compare_sets
from noisette.testing import parametrize_with_checks
from noisette_plugins.features.classifier import Classifier
from noisette_plugins.metrics import KID

CPU = torch.device("cpu")
QUICK = {"steps": 60, "batch": 32}


def striped(count: int, seed: int, name: str = "train", classes: int = 4) -> ImageSet:
    """Grain with a bright row, whose place is the class."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    images = generator.integers(0, 120, (count, 1, 8, 8)).astype(np.uint8)
    images[np.arange(count), 0, labels] += 100
    return ImageSet(name, images, labels)


TRAIN, TEST = striped(200, 0), striped(80, 1, "test")
FITTED = Classifier(**QUICK).fit(TRAIN, TEST, None)


@parametrize_with_checks([FITTED])
def test_it_keeps_its_contract(plugin, check) -> None:
    check(plugin)


def test_it_knows_the_classes_and_says_how_well() -> None:
    features = FITTED.load(CPU)(torch.from_numpy(TEST.images))
    found = FITTED.load_classifier()(features).argmax(dim=1).numpy()
    share = float((found == TEST.labels).mean())
    assert features.shape == (80, 128)
    assert share > 0.9  # one in four by chance
    assert FITTED.facts == {"classes": 4, "trained_on": 200, "accuracy": round(share, 6), "held_out": 80}
    hopeless = ImageSet("shuffled", TRAIN.images, np.random.default_rng(2).permutation(TRAIN.labels))
    assert Classifier(**QUICK).fit(hopeless, TEST, None).facts["accuracy"] < 0.6  # control


def test_the_same_images_and_seed_give_the_same_weights_and_no_global_number_is_drawn() -> None:
    before = torch.get_rng_state()
    again = Classifier(**QUICK).fit(TRAIN, TEST, None)
    assert torch.equal(torch.get_rng_state(), before)
    assert again.weights_sha256() == FITTED.weights_sha256()
    assert again.label == f"classifier-{again.weights_sha256()[:8]}"
    for other in (
        Classifier(**QUICK, seed=1).fit(TRAIN, TEST, None),
        Classifier(**QUICK).fit(TEST, None, None),
    ):
        assert other.weights_sha256() != again.weights_sha256()
    assert "accuracy" not in other.facts


def test_it_is_kept_and_found_and_trained_again_if_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fit() -> Classifier:
        return Classifier(**QUICK).fit(TRAIN, TEST, tmp_path)

    with caplog.at_level(logging.INFO, "noisette_plugins"):
        first, second = fit(), fit()
    assert [record.getMessage()[:21] for record in caplog.records] == ["training a classifier"]
    assert second.facts == first.facts == FITTED.facts
    assert second.weights_sha256() == FITTED.weights_sha256()
    [file] = tmp_path.glob("classifier-*/weights.safetensors")
    assert "last.weight" in load(file.read_bytes())
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert fit().weights_sha256() == FITTED.weights_sha256()
    assert "trained again" in caplog.text
    Classifier(**QUICK).fit(TEST, None, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_images_of_another_size_are_scaled_to_that_of_training() -> None:
    assert FITTED.resizing == "anti-aliased bicubic to 8x8"
    assert FITTED.input_size == 8
    large = torch.from_numpy(TEST.images).repeat_interleave(2, 2).repeat_interleave(2, 3)
    found = FITTED.load_classifier()(FITTED.load(CPU)(large)).argmax(dim=1).numpy()
    assert float((found == TEST.labels).mean()) > 0.8


def test_without_labels_or_training_it_says_what_to_do() -> None:
    with pytest.raises(
        DataError, match="expected labels of train, to train on; there are none: take other features"
    ):
        Classifier().fit(ImageSet("train", TRAIN.images), None, None)
    with pytest.raises(DataError, match="at least two classes in train"):
        Classifier().fit(striped(20, 0, classes=1), None, None)
    for use in (Classifier().weights_sha256, lambda: Classifier().load(CPU), lambda: Classifier().label):
        with pytest.raises(DataError, match="trained on the real images; this one was not"):
            use()


def test_distances_in_it_bear_its_hash_and_see_what_it_knows() -> None:
    def kid(images: ImageSet) -> float:
        results = compare_sets(images, TRAIN, None, FITTED, [KID(size=40)]).results
        assert list(results) == [f"kid_{FITTED.label}"]
        return results[f"kid_{FITTED.label}"].value

    one_class = ImageSet("collapsed", TRAIN.images[TRAIN.labels == 0])
    assert kid(one_class) > 5 * abs(kid(TEST))
