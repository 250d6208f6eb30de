"""Evaluations in the midst of a training, the best checkpoint, and endings before the last step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.stop_at import StopAt
from support.tiny import tiny, write_prepared

from noisette import ConfigError, Events, Experiment, evaluate, find_checkpoint, sample, train
from noisette.checkpoint import find_finished_checkpoint
from noisette.journal import read_journal
from noisette.layout import training_directory
from noisette.stages import plan_stages
from noisette.training.state import BestResult, TrainingState

WATCHED = [
    "training.evaluate_every=4",
    "training.evaluate_images=6",
    "evaluation.metrics=[kid, held-out-loss]",
    "evaluation.metrics.1.terms=2",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_prepared(tmp_path, tiny())
    return tmp_path


def results_of(experiment: Experiment, root: Path) -> dict[int, dict[str, float]]:
    entries = list(read_journal(training_directory(experiment, root)))
    return {entry["step"]: entry["metrics"] for entry in entries if "held_out_loss" in entry["metrics"]}


def test_results_are_those_of_the_evaluation_stage_and_the_best_is_kept(root: Path) -> None:
    experiment = tiny(*WATCHED)
    checkpoint = train(experiment, root)
    found = results_of(experiment, root)
    assert list(found) == [4, 8, 12]
    assert set(found[4]) == {"kid_efficientnet-lite0", "held_out_loss"}
    samples = sample(experiment, checkpoint, experiment.sampling.samplers[0], root)
    report = evaluate(experiment, [samples], root)
    last = {row.label: row.results for row in report.rows}["ddim-5"]["kid_efficientnet-lite0"].value
    assert found[12]["kid_efficientnet-lite0"] == pytest.approx(last, rel=1e-9)
    assert found[12]["held_out_loss"] == pytest.approx(report.model["held_out_loss"].value, rel=1e-9)
    best = find_checkpoint(training_directory(experiment, root) / "best")
    values = {step: metrics["kid_efficientnet-lite0"] for step, metrics in found.items()}
    assert best.step == min(values, key=lambda step: values[step])
    assert checkpoint.about["best"] == {
        "by": "kid_efficientnet-lite0",
        "value": min(values.values()),
        "step": best.step,
        "misses": (12 - best.step) // 4,
        "seen": 12,
    }


def test_watching_changes_no_weight_and_no_directory(root: Path) -> None:
    plain, watched = tiny(), tiny(*WATCHED, "training.monitor=held_out_loss")
    assert training_directory(plain, root) == training_directory(watched, root)
    expected = load_file(train(plain, root).directory / "network.safetensors")
    other = root / "other"
    write_prepared(other, watched)
    came = load_file(train(watched, other).directory / "network.safetensors")
    assert all(torch.equal(expected[name], came[name]) for name in expected)
    about = find_checkpoint(training_directory(watched, other)).about
    assert about["best"]["by"] == "held_out_loss"


@pytest.mark.parametrize(
    ("change", "deciding"),
    [
        ("evaluation.metrics=[frechet]", "frechet_efficientnet-lite0"),
        ("training.monitor=held_out_loss", "held_out_loss"),
    ],
)
def test_the_best_begins_anew_where_another_result_decides(root: Path, change: str, deciding: str) -> None:
    first = train(tiny(*WATCHED), root)
    assert first.about["best"]["by"] == "kid_efficientnet-lite0"
    longer = train(tiny(*WATCHED, change, "training.steps=20"), root)
    assert (longer.step, longer.about["best"]["by"]) == (20, deciding)
    values = [entry["metrics"] for entry in read_journal(longer.run) if entry["step"] > first.step]
    assert longer.about["best"]["value"] == min(found[deciding] for found in values if deciding in found)
    assert find_checkpoint(longer.run / "best").step == longer.about["best"]["step"]


def test_without_improvement_it_ends_and_counts_as_finished(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([3.0, 2.0, 2.5, 2.0, 9.0])
    monkeypatch.setattr("noisette.training.engine.Validation", lambda state, *_: _Told(values, state))
    experiment = tiny("training.evaluate_every=2", "training.patience=2", "training.steps=40")
    with pytest.raises(KeyboardInterrupt):
        train(experiment, root, events=Events([StopAt(5)]))  # stopped on the way: the count goes on
    checkpoint = train(experiment, root)
    assert checkpoint.step == 8
    assert checkpoint.about["ended"] == "no better loss since step 4"
    assert find_finished_checkpoint(training_directory(experiment, root), 40) is not None
    assert train(experiment, root).step == 8
    assert [stage.finished for stage in plan_stages(experiment, root)][:2] == [True, True]
    assert find_checkpoint(training_directory(experiment, root) / "best").step == 4


class _Told:
    """A validation whose results are known."""

    def __init__(self, values: Iterator[float], state: TrainingState) -> None:
        self.values, self.state = values, state

    def __call__(self) -> dict[str, float]:
        return {"loss": next(self.values)}

    def update_best(self, results: dict[str, float], step: int) -> bool:
        self.state.best = self.state.best or BestResult("loss")
        return self.state.best.update(results["loss"], step, higher=False)


def test_its_time_ends_it_and_earlier_time_counts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr("noisette.training.engine.time.perf_counter", lambda: float(next(clock)))
    experiment = tiny("training.max_seconds=30", "training.steps=500")
    with pytest.raises(KeyboardInterrupt):
        train(experiment, root, events=Events([StopAt(3)]))
    before = find_checkpoint(training_directory(experiment, root)).about["seconds"]
    checkpoint = train(experiment, root)
    assert 0 < before < 30 <= checkpoint.about["seconds"]
    assert 3 < checkpoint.step < 30
    assert checkpoint.about["ended"] == "its 30 seconds are over"
    assert "seconds" not in train(tiny(), root).about  # control: two equal trainings are equal


def test_an_evaluation_that_a_stop_cut_short_is_made_up_for(root: Path) -> None:
    experiment = tiny(*WATCHED, "training.evaluate_every=5")
    with pytest.raises(KeyboardInterrupt):
        train(experiment, root, events=Events([StopAt(5)]))
    assert results_of(experiment, root) == {}
    train(experiment, root)
    assert list(results_of(experiment, root)) == [5, 10]


def test_best_of_results() -> None:
    low, high = BestResult("kid"), BestResult("recognised")
    assert [low.update(value, step, higher=False) for step, value in enumerate([3, 2, 2, 1.5, 4])] == [
        1,
        1,
        0,
        1,
        0,
    ]
    assert (low.value, low.step, low.misses) == (1.5, 3, 1)
    assert [high.update(value, step, higher=True) for step, value in enumerate([3, 2, 5])] == [True, False, True]


def test_a_result_that_there_is_not_is_named(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"one of the results, kid_efficientnet-lite0, held_out_loss; got 'fid'"):
        train(tiny(*WATCHED, "training.monitor=fid"), root)
    with pytest.raises(ConfigError, match=r"patience: needs training\.evaluate_every"):
        tiny("training.patience=2")


def test_patience_makes_what_is_evaluated_part_of_the_training(root: Path) -> None:
    patient = [*WATCHED, "training.patience=3"]
    directories = {
        training_directory(tiny(*patient, *more), root)
        for more in ([], ["training.evaluate_images=7"], ["training.monitor=kid"], ["evaluation.metrics=[kid]"])
    }
    assert len(directories) == 4
