"""Times of different conditions are not shown as if they compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.tiny import tiny

from noisette import evaluate, sample, train
from noisette.sampling import samples
from noisette.sampling.samples import check_comparable_timings, timing_conditions


def timed(**changes: Any) -> dict[str, Any]:
    return {"timed": {**timing_conditions(together=True), **changes}}


def test_times_of_one_process_compare() -> None:
    assert check_comparable_timings({"a": timed(), "b": timed(load=9.5)}) == ""
    assert check_comparable_timings({"a": {}}) == ""


@pytest.mark.parametrize(
    "other", [timed(session="another"), timed(threads=99), {"timed": timing_conditions(together=False)}, {}]
)
def test_times_of_other_conditions_do_not(other: dict[str, Any]) -> None:
    told = check_comparable_timings({"a": timed(load=0.5, at="2026-11-30 22:10"), "b": other})
    assert told.startswith("seconds per image were not measured together (a 2026-11-30 22:10, load 0.5; b ")
    assert "--again sample" in told


@pytest.mark.slow
def test_a_table_with_remembered_seconds_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = tiny("evaluation.features=classifier", "evaluation.metrics=[frechet]")
    checkpoint = train(experiment, root)
    first, second = experiment.sampling.samplers
    drawn = [sample(experiment, checkpoint, first, root)]
    with monkeypatch.context() as another:
        another.setattr(samples, "_SESSION", "another day")
        drawn.append(sample(experiment, checkpoint, second, root))
    notes = evaluate(experiment, drawn, root).notes
    assert [note for note in notes if note.startswith("seconds per image were not measured together")]
    drawn[1] = sample(experiment, checkpoint, second, root, again=True)
    notes = evaluate(experiment, drawn, root, again=True).notes
    assert not [note for note in notes if "seconds per image" in note]
