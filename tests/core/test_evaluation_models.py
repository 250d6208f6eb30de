"""Metrics of the model in an evaluation: what is measured, kept, left out and read again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.tiny import tiny, write_prepared

from noisette import Experiment, Report, evaluate, sample, train
from noisette.journal import read_journal
from noisette.layout import training_directory

WITH = ["evaluation.metrics=[kid, likelihood, held-out-loss]", "evaluation.metrics.1.terms=4"]


def evaluated(root: Path, experiment: Experiment) -> Report:
    write_prepared(root, experiment)
    checkpoint = train(experiment, root)
    samples = [sample(experiment, checkpoint, sampler, root) for sampler in experiment.sampling.samplers]
    return evaluate(experiment, samples, root)


def test_the_report_has_the_model_beside_the_samplers(tmp_path: Path) -> None:
    experiment = tiny(*WITH)
    report = evaluated(tmp_path, experiment)
    assert list(report.model) == [
        "bits_per_dim",
        "bits_per_dim_prior",
        "bits_per_dim_steps",
        "bits_per_dim_first",
        "held_out_loss",
    ]
    assert report.columns == ["kid_efficientnet-lite0"]  # no column of the samplers' table
    assert set(report.curves) == {"bits_per_dim_by_step", "held_out_loss_by_step"}
    assert all(found.stderr is not None for found in report.model.values())
    again = Report.open(report.directory)
    assert (again.model, again.curves) == (report.model, report.curves)
    last = list(read_journal(training_directory(experiment, tmp_path)))[-1]["metrics"]
    assert last["bits_per_dim"] == report.model["bits_per_dim"].value
    assert last["bits_per_dim_stderr"] == report.model["bits_per_dim"].stderr


def test_the_same_evaluation_gives_the_same_bits(tmp_path: Path) -> None:
    experiment = tiny(*WITH)
    first = evaluated(tmp_path, experiment)
    kept = json.loads((first.directory / "report.json").read_text())
    shutil.rmtree(first.directory)
    assert json.loads((evaluated(tmp_path, experiment).directory / "report.json").read_text()) == kept


def test_without_the_checkpoint_it_is_left_out_and_says_so(tmp_path: Path) -> None:
    experiment = tiny(*WITH)
    write_prepared(tmp_path, experiment)
    checkpoint = train(experiment, tmp_path)
    samples = [sample(experiment, checkpoint, sampler, tmp_path) for sampler in experiment.sampling.samplers]
    shutil.rmtree(checkpoint.directory)
    report = evaluate(experiment, samples, tmp_path)
    assert report.model == {}
    assert [note for note in report.notes if "likelihood is left out: the checkpoint" in note]


@pytest.mark.parametrize("count", [3, 100])
def test_as_many_images_as_asked_for_or_there_are(tmp_path: Path, count: int) -> None:
    few = evaluated(
        tmp_path, tiny("evaluation.metrics=[kid, held-out-loss]", f"evaluation.metrics.1.count={count}")
    )
    most = evaluated(tmp_path, tiny("evaluation.metrics=[kid, held-out-loss]", "evaluation.metrics.1.count=8"))
    assert (few.model == most.model) == (count > 8)
