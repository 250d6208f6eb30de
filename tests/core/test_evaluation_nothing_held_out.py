"""Experiments that train on all images: what is measured on the training images is said to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.tiny import TINY

from noisette import DataError, Experiment, Prepared, Report, evaluate, prepare, sample, train
from noisette.config import apply_overrides
from noisette.evaluation import sets
from noisette.figures import make_figure
from noisette.journal import read_journal
from noisette.layout import training_directory

COUNT = 40


def experiment_of(folder: Path, *overrides: str) -> Experiment:
    dataset = {"name": "image-folder", "path": str(folder), "held_out": 0}
    watched = (
        "training.evaluate_every=12",
        "training.evaluate_images=6",
        "sampling.samplers=[{name: ddim, steps: 5}]",
    )
    metrics = ("evaluation.metrics=[kid, held-out-loss]", "evaluation.metrics.1.terms=2")
    return Experiment.parse(apply_overrides(TINY | {"dataset": dataset}, [*watched, *metrics, *overrides]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for number in range(COUNT):
        Image.fromarray(generator.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def data(folder: Path) -> Prepared:
    return prepare(experiment_of(folder), folder.with_name("runs"))


@pytest.fixture(scope="module")
def report(folder: Path, data: Prepared) -> Report:
    experiment, root = experiment_of(folder), folder.with_name("runs")
    return evaluate(
        experiment, [sample(experiment, train(experiment, root), experiment.sampling.samplers[0], root)], root
    )


def test_all_images_are_trained_on_and_none_is_held_out(data: Prepared) -> None:
    assert (data.count("train"), data.count("test"), data.has_test_split) == (COUNT, 0, False)
    assert len(data.images("train")) == COUNT
    assert (len(data.images("test")), data.labels("test"), sets.test(data)) == (0, None, None)


def test_the_report_says_that_it_measures_training_images(report: Report) -> None:
    assert report.notes[-1].startswith(
        "no images are held out: everything is measured on the training images, so a network that repeats them "
        "looks better than it is; the row of real images is 6 of them against the other 34"
    )
    protocol = report.protocol
    assert (protocol["reference_count"], protocol["heldout_split"], protocol["heldout_count"]) == (
        COUNT,
        "the reference itself",
        6,
    )
    assert [row.kind for row in report.rows] == ["floor", "sampler", "noise"]


def test_an_evaluation_during_training_gives_the_same(report: Report, folder: Path) -> None:
    run = training_directory(experiment_of(folder), folder.with_name("runs"))
    during = next(entry["metrics"] for entry in read_journal(run) if "held_out_loss" in entry["metrics"])
    assert during["held_out_loss"] == pytest.approx(report.model["held_out_loss"].value, rel=1e-9)
    column = next(column for column in report.columns if column.startswith("kid"))
    assert during[column] == pytest.approx(report.rows[1].results[column].value, rel=1e-9)


def test_a_figure_of_a_held_out_image_names_the_training_images(folder: Path, data: Prepared) -> None:
    experiment = experiment_of(folder, "figures=[{name: forward, images: ['test:0']}]")
    with pytest.raises(DataError, match="test:0: no images are held out; use train:0"):
        make_figure(experiment, experiment.figures[0], folder.with_name("runs"))
