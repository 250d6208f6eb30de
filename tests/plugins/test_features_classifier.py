from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

from noisette import DataError
from noisette.evaluation import PictureSet, compare_sets
from noisette.testing import parametrize_with_checks
from noisette_plugins.features.classifier import Classifier
from noisette_plugins.metrics import KID

CPU = torch.device("cpu")
QUICK = {"steps": 60, "batch": 32}


def striped(count: int, seed: int, name: str = "train", classes: int = 4) -> PictureSet:
    """Grain with a bright row, whose place is the class."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    pictures = generator.integers(0, 120, (count, 1, 8, 8)).astype(np.uint8)
    pictures[np.arange(count), 0, labels] += 100
    return PictureSet(name, pictures, labels)


TRAIN, TEST = striped(200, 0), striped(80, 1, "test")
FITTED = Classifier(**QUICK).fitted(TRAIN, TEST, None)


@parametrize_with_checks([FITTED])
def test_it_keeps_its_contract(plugin, check) -> None:
    check(plugin)


def test_it_knows_the_classes_and_says_how_well() -> None:
    features = FITTED.load(CPU)(torch.from_numpy(TEST.pictures))
    found = FITTED.classifier()(features).argmax(dim=1).numpy()
    share = float((found == TEST.labels).mean())
    assert features.shape == (80, 128)
    assert share > 0.9  # one in four by chance
    assert FITTED.facts == {"classes": 4, "trained_on": 200, "accuracy": round(share, 6), "held_out": 80}
    hopeless = PictureSet("shuffled", TRAIN.pictures, np.random.default_rng(2).permutation(TRAIN.labels))
    assert Classifier(**QUICK).fitted(hopeless, TEST, None).facts["accuracy"] < 0.6  # control


def test_the_same_pictures_and_seed_give_the_same_weights_and_no_global_number_is_drawn() -> None:
    before = torch.get_rng_state()
    again = Classifier(**QUICK).fitted(TRAIN, TEST, None)
    assert torch.equal(torch.get_rng_state(), before)
    assert again.weights_sha256() == FITTED.weights_sha256()
    assert again.label == f"classifier-{again.weights_sha256()[:8]}"
    for other in (
        Classifier(**QUICK, seed=1).fitted(TRAIN, TEST, None),
        Classifier(**QUICK).fitted(TEST, None, None),
    ):
        assert other.weights_sha256() != again.weights_sha256()
    assert "accuracy" not in other.facts


def test_it_is_kept_and_found_and_trained_again_if_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fit() -> Classifier:
        return Classifier(**QUICK).fitted(TRAIN, TEST, tmp_path)

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
    Classifier(**QUICK).fitted(TEST, None, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_pictures_of_another_size_are_scaled_to_that_of_training() -> None:
    assert FITTED.resizing == "anti-aliased bicubic to 8x8"
    assert FITTED.input_size == 8
    large = torch.from_numpy(TEST.pictures).repeat_interleave(2, 2).repeat_interleave(2, 3)
    found = FITTED.classifier()(FITTED.load(CPU)(large)).argmax(dim=1).numpy()
    assert float((found == TEST.labels).mean()) > 0.8


def test_without_labels_or_training_it_says_what_to_do() -> None:
    with pytest.raises(
        DataError, match="expected labels of train, to train on; there are none: take other features"
    ):
        Classifier().fitted(PictureSet("train", TRAIN.pictures), None, None)
    with pytest.raises(DataError, match="at least two classes in train"):
        Classifier().fitted(striped(20, 0, classes=1), None, None)
    for use in (Classifier().weights_sha256, lambda: Classifier().load(CPU), lambda: Classifier().label):
        with pytest.raises(DataError, match="trained on the real pictures; this one was not"):
            use()


def test_distances_in_it_bear_its_hash_and_see_what_it_knows() -> None:
    def kid(pictures: PictureSet) -> float:
        results = compare_sets(pictures, TRAIN, None, FITTED, [KID(size=40)]).results
        assert list(results) == [f"kid_{FITTED.label}"]
        return results[f"kid_{FITTED.label}"].value

    one_class = PictureSet("collapsed", TRAIN.pictures[TRAIN.labels == 0])
    assert kid(one_class) > 5 * abs(kid(TEST))
