"""What a longer training takes over from the shorter one that it goes on behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny import tiny

from noisette import Events, Experiment, Prepared, find_checkpoint, hookimpl, train
from noisette.journal import read_journal
from noisette.layout import data_directory, training_directory
from noisette.training.resume import find_differences

WATCHED = (
    "training.evaluate_every=4",
    "training.evaluate_images=6",
    "training.ema_snapshot_every=4",
    "evaluation.metrics=[kid]",
)


def of(steps: int) -> Experiment:
    return tiny(*WATCHED, f"training.steps={steps}")


def kept(root: Path, experiment: Experiment) -> dict[str, bytes]:
    """Return the files of a run's snapshots and best checkpoint that hold tensors, by path."""
    run = training_directory(experiment, root)
    found = [*run.glob("snapshots/*/*.safetensors"), *run.glob("best/*/*/*.safetensors")]
    return {str(path.relative_to(run)): path.read_bytes() for path in found}


class _Steps:
    def __init__(self) -> None:
        self.made: list[int] = []

    @hookimpl
    def on_step(self, step: int) -> None:
        self.made.append(step)


@pytest.mark.slow
def test_a_longer_training_has_all_that_one_straight_through_has(root: Path, tmp_path_factory) -> None:
    train(of(8), root)
    steps = _Steps()
    longer = train(of(16), root, events=Events([steps]))
    assert steps.made == list(range(9, 17))
    straight = tmp_path_factory.mktemp("straight")
    (straight / "data").symlink_to(root / "data")
    train(of(16), straight)
    expected = kept(straight, of(16))
    assert {path.split("/")[1] for path in expected if path.startswith("snapshots")} == {
        f"step-{step:08d}" for step in (4, 8, 12, 16)
    }
    assert kept(root, of(16)) == expected
    assert find_checkpoint(longer.run / "best").step == longer.about["best"]["step"]
    assert [entry["step"] for entry in read_journal(longer.run)] == [
        entry["step"] for entry in read_journal(training_directory(of(16), straight))
    ]


def test_what_is_damaged_is_left_and_said(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    shorter = train(of(8), root)
    broken = next(shorter.run.glob("snapshots/step-00000004/*.safetensors"))
    broken.write_bytes(broken.read_bytes()[:-1])
    longer = train(of(16), root)
    assert f"not copied: {broken}" in caplog.text
    taken = {path.name for path in (longer.run / "snapshots").glob("step-*")}
    assert taken == {f"step-{step:08d}" for step in (8, 12, 16)}


def test_a_checkpoint_from_before_an_option_was_trained_with_its_default(root: Path) -> None:
    experiment = tiny("training.steps=4")
    checkpoint, data = train(experiment, root), Prepared.open(data_directory(experiment, root))
    del checkpoint.about["experiment"]["training"]["ema_warmup"]
    assert find_differences(checkpoint, experiment, data) == []
    other = tiny("training.steps=4", "training.ema_warmup=none")
    assert find_differences(checkpoint, other, data) == ["training.ema_warmup"]
