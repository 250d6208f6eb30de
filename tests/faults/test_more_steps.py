"""A config that changed: what goes on where it was, what begins anew, what is refused, and what is said."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.jobs import training
from support.reliability import Result

from noisette import CheckpointError, Events, Run, hookimpl, train
from noisette.checkpoint import checkpoint_path, find_finished_checkpoint
from noisette.journal import read_journal
from noisette.layout import training_directory
from noisette.stages import plan_stages
from noisette.storage import MANIFEST, committed

Record = Callable[[Result], None]
SECTION = "A changed config"


class Counted:
    """Note the first step of a training."""

    first = 0

    @hookimpl
    def on_step(self, run: Run, step: int) -> None:
        self.first = self.first or step


def trained(root: Path, *overrides: str) -> tuple[dict[str, str], int]:
    """Train; return the bits of the last checkpoint, and the step that it went on from."""
    counted = Counted()
    checkpoint = train(training(*overrides), root, events=Events([counted], installed=False))
    return {name: file.sha256 for name, file in checkpoint.manifest.files.items()}, counted.first - 1


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    caplog.set_level(logging.INFO, logger="noisette")
    return lambda: caplog.text


WAYS = {
    "a constant learning rate": (),
    "a warm-up": ("training.lr_warmup_steps=30",),
    "dropout and flips": ("backbone.dropout=0.2", "training.random_flip=true"),
    "antithetic steps": ("training.timestep_sampler=antithetic",),
}


def test_more_steps_go_on_where_fewer_ended(
    root: Path, tmp_path: Path, told: Callable[[], str], full: bool, record: Record
) -> None:
    ways = WAYS if full else dict(list(WAYS.items())[:2])
    same = went_on = 0
    for number, options in enumerate(ways.values()):
        other = tmp_path / f"straight-{number}"
        shutil.copytree(root, other)
        short = finished_at(root, 16, *options)
        extended, begun = trained(root, "training.steps=24", *options)
        straight, _ = trained(other, "training.steps=24", *options)
        same += extended == straight
        went_on += begun == 16
        assert f"training resumes at step 16 of 24, from {short}" in told()
        assert find_finished_checkpoint(training_directory(training("training.steps=16", *options), root), 16), (
            "it stays"
        )
        run = training_directory(training("training.steps=24", *options), root)
        assert [entry["step"] for entry in read_journal(run)] == [5, 10, 15, 20]
        assert plan_stages(training("training.steps=24", *options), root)[1].finished
    control, begun = trained(root, "training.steps=24", "training.lr_schedule=linear")
    seen = {
        "resumed from the shorter run": went_on,
        "equal to an uninterrupted run": same,
        "with": ", ".join(ways),
    }
    against = {"bits differ with a decaying learning rate": f"{int(control != straight)} of 1"}
    record(Result(SECTION, "16 steps, then 24, same settings", len(ways), min(same, went_on), seen, against))
    assert same == went_on == len(ways)
    assert control != straight


def finished_at(root: Path, steps: int, *overrides: str) -> Path:
    return train(training(f"training.steps={steps}", *overrides), root).directory


CHANGES = {
    "training.lr=0.5": "training.lr",
    "seed=3": "seed",
    "objective=v": "objective.name",
    "training.batch_size=4": "training.batch_size",
    "backbone.channels=16": "backbone.channels",
    "schedule=cosine": "schedule.name",
}


def test_another_course_begins_anew_beside_the_first_and_says_why(
    root: Path, told: Callable[[], str], times: Callable[[int, int], int], record: Record
) -> None:
    first = finished_at(root, 4)
    run = first.parents[1]
    right = 0
    changes = dict(list(CHANGES.items())[: times(2, len(CHANGES))])
    for change, path in changes.items():
        _, begun = trained(root, "training.steps=4", change)
        said = next(line for line in told().splitlines() if "starts at step 0" in line and path in line)
        right += begun == 0 and str(root) in said
        shutil.rmtree(training_directory(training("training.steps=4", change), root))
    _, begun = trained(root, "training.steps=6", "training.lr_schedule=cosine")
    right += begun == 0 and f"{run} differs in training.lr_schedule, training.steps" in told()
    assert find_finished_checkpoint(run, 4), "the first is as it was"
    seen = {
        "started at step 0, naming the keys": ", ".join(
            [*changes.values(), "training.lr_schedule and training.steps"]
        )
    }
    record(Result(SECTION, "a changed option that affects weights", len(changes) + 1, right, seen))
    assert right == len(changes) + 1


def test_a_checkpoint_put_into_another_run_is_refused(root: Path, record: Record) -> None:
    first = finished_at(root, 4)
    other = training("training.steps=8", "training.lr=0.5", "training.batch_size=4")
    place = checkpoint_path(training_directory(other, root), 4)
    shutil.copytree(first, place)
    with pytest.raises(CheckpointError) as refused:
        train(other, root)
    said = str(refused.value)
    right = "belongs to another experiment" in said and "training.batch_size, training.lr" in said
    record(
        Result(
            SECTION,
            "a checkpoint replaced by that of another run",
            1,
            int(right),
            {"refused": said.partition("(")[2].partition(")")[0]},
        )
    )
    assert right, said


def test_a_longer_run_serves_a_shorter_one_and_damage_is_passed_over(root: Path, told: Callable[[], str]) -> None:
    longer = finished_at(root, 8)
    shorter, begun = trained(root, "training.steps=6")
    assert begun == -1, "its last step was there"
    weights = longer / "network.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    _, begun = trained(root, "training.steps=10")
    assert begun == 6
    assert "network.safetensors" in told()
    shutil.rmtree(root / longer.parents[1].name)
    shutil.rmtree(training_directory(training("training.steps=10"), root))
    shutil.rmtree(training_directory(training("training.steps=6"), root))
    assert trained(root, "training.steps=6") == (shorter, 0), "the same bits from the beginning"


def test_what_lies_beside_a_run_and_is_of_no_use_does_not_hold_it_up(root: Path, told: Callable[[], str]) -> None:
    strange = checkpoint_path(root / "tiny-0123456789", 2)
    strange.parent.mkdir(parents=True)
    with committed(strange, "checkpoint", {"step": 2, "experiment": "of another version"}):
        pass
    assert trained(root, "training.steps=4")[1] == 0
    assert f"{strange / MANIFEST}: about.experiment: " in told()
