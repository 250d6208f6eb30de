from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from support.tiny import tiny, write_prepared

from noisette.checkpoint import Checkpoint, checkpoint_path
from noisette.layout import evaluation_directory, samples_directory, training_directory
from noisette.sampling.samples import Samples
from noisette.stages import plan_stages
from noisette.storage import committed

EXPERIMENT = tiny()


def write_checkpoint(root: Path, step: int) -> Checkpoint:
    directory = checkpoint_path(training_directory(EXPERIMENT, root), step)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with committed(directory, "checkpoint", {"step": step}) as staging:
        (staging / "network.safetensors").write_bytes(step.to_bytes(8, "little"))
    return Checkpoint.open(directory)


def write_samples(root: Path, checkpoint: Checkpoint, index: int) -> Samples:
    sampler = EXPERIMENT.sampling.samplers[index]
    run = training_directory(EXPERIMENT, root)
    directory = samples_directory(run, checkpoint.digest, sampler, EXPERIMENT)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with committed(directory, "samples", {"label": sampler.label}) as staging:
        np.save(staging / "images.npy", np.full((2, 1, 8, 8), index, np.uint8))
    return Samples.open(directory)


def write_everything(root: Path) -> Path:
    write_prepared(root, EXPERIMENT)
    checkpoint = write_checkpoint(root, EXPERIMENT.training.steps)
    samples = [write_samples(root, checkpoint, index) for index in (0, 1)]
    run = training_directory(EXPERIMENT, root)
    directory = evaluation_directory(run, [drawn.identity for drawn in samples], EXPERIMENT)
    directory.parent.mkdir(parents=True)
    with committed(directory, "evaluation", {}) as staging:
        (staging / "report.json").write_text(json.dumps({}))
    return directory


def finished(root: Path, *overrides: str) -> dict[str, bool]:
    return {stage.name: stage.finished for stage in plan_stages(tiny(*overrides), root)}


def test_at_first_nothing_is_finished_and_the_later_directories_are_unknown(tmp_path: Path) -> None:
    stages = plan_stages(EXPERIMENT, tmp_path)
    assert [stage.name for stage in stages] == ["prepare", "train", "sample ddim-5", "sample ddpm-4", "evaluate"]
    assert not any(stage.finished for stage in stages)
    assert [stage.directory is None for stage in stages] == [False, False, True, True, True]


def test_each_stage_is_found_finished_by_its_manifest(tmp_path: Path) -> None:
    write_prepared(tmp_path, EXPERIMENT)
    assert list(finished(tmp_path).values()) == [True, False, False, False, False]
    checkpoint = write_checkpoint(tmp_path, 12)
    assert list(finished(tmp_path).values()) == [True, True, False, False, False]
    write_samples(tmp_path, checkpoint, 1)
    assert list(finished(tmp_path).values()) == [True, True, False, True, False]


def test_all_finished(tmp_path: Path) -> None:
    report = write_everything(tmp_path)
    stages = plan_stages(EXPERIMENT, tmp_path)
    assert all(stage.finished for stage in stages)
    assert stages[-1].directory == report


def test_a_checkpoint_of_fewer_steps_is_not_finished(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 11)
    assert not finished(tmp_path)["train"]


def test_a_new_sampler_opens_its_own_stage_and_the_comparison_only(tmp_path: Path) -> None:
    write_everything(tmp_path)
    asked = "sampling.samplers=[{name: ddim, steps: 5}, {name: ddim, steps: 7}]"
    assert finished(tmp_path, asked) == {
        "prepare": True,
        "train": True,
        "sample ddim-5": True,
        "sample ddim-7": False,
        "evaluate": False,
    }


def test_another_learning_rate_opens_everything_behind_the_data(tmp_path: Path) -> None:
    write_everything(tmp_path)
    assert list(finished(tmp_path, "training.lr=0.5").values()) == [True, False, False, False, False]


def test_another_logging_pace_opens_nothing(tmp_path: Path) -> None:
    write_everything(tmp_path)
    assert all(finished(tmp_path, "training.log_every=1").values())


def test_a_cut_file_opens_its_stage_and_those_that_hang_on_it(tmp_path: Path) -> None:
    write_everything(tmp_path)
    samples = plan_stages(EXPERIMENT, tmp_path)[2].directory
    assert samples is not None
    images = samples / "images.npy"
    images.write_bytes(images.read_bytes()[:-1])
    assert list(finished(tmp_path).values()) == [True, True, False, True, False]
