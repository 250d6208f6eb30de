"""Schedules that end with too much of the image, or begin with too little, and walks that begin too late."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from support.tiny import tiny, write_prepared

from noisette import Experiment, Process, Schedule, evaluate, sample, train
from noisette.config import load
from noisette.diffusion.schedule_checks import find_schedule_problems, find_start_problems
from noisette_plugins.schedules import Constant, Cosine, Linear, Quadratic, ScaledLinear, Sigmoid, ZeroTerminal

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize(
    ("schedule", "left"),
    [(ScaledLinear(), "58%"), (Quadratic(), "48%"), (Constant(), "37%"), (Linear(scaled=False), "36%")],
    ids=lambda value: value.name if isinstance(value, Schedule) else value,
)
def test_a_schedule_that_does_not_end_in_noise_is_told_with_its_figure(schedule: Schedule, left: str) -> None:
    (remark,) = find_schedule_problems(schedule.process(100))
    assert f"its last timestep, 99, leaves {left} of the image" in remark
    assert find_schedule_problems(schedule.process(1000)) == []  # control


@pytest.mark.parametrize("timesteps", [20, 100, 1000])
@pytest.mark.parametrize("schedule", [Linear(), Cosine(), Sigmoid(), ZeroTerminal()], ids=lambda one: one.name)
def test_nothing_is_said_of_a_schedule_that_ends_in_noise(schedule: Schedule, timesteps: int) -> None:
    assert find_schedule_problems(schedule.process(timesteps)) == []


def test_a_first_step_that_destroys_the_image_is_told() -> None:
    (remark,) = find_schedule_problems(Process(torch.tensor([0.9, 0.9, 0.9], dtype=torch.float64)))
    assert "leaves only 0.1 of the image (alpha²) after its first timestep" in remark


def test_a_walk_that_begins_where_the_image_is_left_is_told() -> None:
    process = Cosine().process(1000)
    (remark,) = find_start_problems(process, process.timesteps(2, "leading"))
    assert "begins in pure noise at timestep 500 of 999, where training left 49% of the image" in remark
    for steps, spacing in ((2, "linspace"), (2, "trailing"), (20, "leading"), (1, "quadratic")):
        assert find_start_problems(process, process.timesteps(steps, spacing)) == []


def test_where_the_schedule_itself_is_told_its_last_step_is_not_told_again() -> None:
    process = Constant().process(100)
    assert find_start_problems(process, process.timesteps(5)) == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_have_no_remark(path: Path) -> None:
    experiment = load(path)
    if isinstance(experiment, Experiment):
        process = experiment.schedule.process(experiment.timesteps)
        walks = [process.timesteps(sampler.steps, sampler.spacing) for sampler in experiment.sampling.samplers]
        assert find_schedule_problems(process) == []
        assert [find_start_problems(process, walk) for walk in walks] == [[]] * len(walks)


def test_it_is_told_in_training_in_sampling_and_in_the_report(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = tiny("schedule=constant", "training.steps=1", "evaluation.metrics=[kid]")
    write_prepared(tmp_path, experiment)
    with caplog.at_level(logging.WARNING):
        checkpoint = train(experiment, tmp_path)
    told = "its last timestep, 19, leaves 82% of the image"
    assert told in caplog.text
    sampler = tiny('sampling.samplers=[{"name": "ddim", "steps": 2, "spacing": "leading"}]').sampling.samplers[0]
    report = evaluate(experiment, [sample(experiment, checkpoint, sampler, tmp_path)], tmp_path)
    begins = "ddim-2-spacing=leading begins in pure noise at timestep 10 of 19"
    assert begins in caplog.text
    assert any(told in note for note in report.notes)
    assert any(begins in note for note in report.notes)


def test_a_sampler_that_diverges_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """PNDM in few steps of cosine; DDIM in as many is the control."""
    samplers = '[{"name": "pndm", "steps": 5}, {"name": "ddim", "steps": 5}]'
    experiment = tiny("schedule=cosine", "timesteps=1000", "training.steps=1", f"sampling.samplers={samplers}")
    write_prepared(tmp_path, experiment)
    checkpoint = train(experiment, tmp_path)
    for sampler in experiment.sampling.samplers:
        sample(experiment, checkpoint, sampler, tmp_path)
    assert "pndm-5 diverged: values of its images reach" in caplog.text
    assert "ddim-5 diverged" not in caplog.text
