from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny import tiny, write_prepared

from noisette import ConfigError, DataError, Experiment, PluginError, sample, train
from noisette.checkpoint import Checkpoint
from noisette.figures import (
    ClassTrajectories,
    ImageGenerator,
    edit_images,
    make_interpolation_grid,
    record_trajectory,
)
from noisette_plugins.samplers import DDIM, DDPM


def trained(root: Path, *overrides: str) -> tuple[Experiment, Checkpoint]:
    experiment = tiny(*overrides)
    write_prepared(root, experiment)
    return experiment, train(experiment, root)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Experiment, Checkpoint]:
    root = tmp_path_factory.mktemp("labelled")
    return root, *trained(root, "training.class_conditional=true", "sampling.num_images=16", "seed=3")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> ImageGenerator:
    return ImageGenerator.open(trained(tmp_path_factory.mktemp("plain"))[1], DDIM(steps=5))


def test_it_draws_what_the_sampling_stage_draws(labelled: tuple[Path, Experiment, Checkpoint]) -> None:
    root, experiment, checkpoint = labelled
    for sampler in (DDPM(steps=4), DDIM(steps=5, guidance_scale=2)):
        samples = sample(experiment, checkpoint, sampler, root)
        generator = ImageGenerator.open(checkpoint, sampler)
        assert generator.seed == 3
        assert np.array_equal(generator.generate([2, 9]), samples.images[[2, 9]])
        assert np.array_equal(record_trajectory(generator, [2, 9]).images, samples.images[[2, 9]])


def test_class_grids_hold_the_images_of_the_sampling_stage(labelled: tuple[Path, Experiment, Checkpoint]) -> None:
    root, experiment, checkpoint = labelled
    generator = ImageGenerator.open(checkpoint, "ddim")
    trajectories = ClassTrajectories.record(generator, (1, 3), rows=2, frames=3)
    for scale, trajectory in zip((1, 3), trajectories.trajectories, strict=True):
        samples = sample(experiment, checkpoint, DDIM(steps=20, guidance_scale=scale), root)
        assert np.array_equal(trajectory.images, samples.images)
    assert not np.array_equal(trajectories.trajectories[0].images, trajectories.trajectories[1].images)
    assert np.array_equal(
        trajectories.trajectories[0].x_t[0], trajectories.trajectories[1].x_t[0]
    )  # all begin at the same noise
    assert len(list(trajectories.frames())) == 3
    some = ClassTrajectories.record(generator, [3], rows=2, classes=["5", "1"], frames=1)
    assert np.array_equal(some.trajectories[0].images, trajectories.trajectories[1].images[[5, 1, 13, 9]])
    assert np.asarray(some.grid()).shape[0] < np.asarray(trajectories.grid()).shape[0] * 3


def test_a_image_can_be_told_its_class(labelled: tuple[Path, Experiment, Checkpoint]) -> None:
    generator = ImageGenerator.open(labelled[2], DDIM(steps=5))
    images = generator.generate([0, 1])
    free, three, five = (
        edit_images(generator, images, [15], class_name).results for class_name in (None, "3", "5")
    )
    assert free.shape == (2, 1, 1, 8, 8)
    assert not np.array_equal(free, three)
    assert not np.array_equal(three, five)
    with pytest.raises(DataError, match="class: expected one of 0, 1, 2, 3, 4, 5, 6, 7; got '9'"):
        edit_images(generator, images, [15], "9")


def test_a_network_without_classes_says_so(plain: ImageGenerator) -> None:
    with pytest.raises(DataError, match="class: expected none, as the network was trained without labels"):
        ClassTrajectories.record(plain)
    with pytest.raises(DataError, match="class: expected none"):
        edit_images(plain, plain.generate([0]), class_name="3")
    with pytest.raises(PluginError, match="guidance needs a network that was trained with labels"):
        record_trajectory(plain.with_guidance(2), [0])
    assert record_trajectory(plain, [0]).images.shape == (1, 1, 8, 8)


def test_the_later_the_step_the_freer_the_edit(plain: ImageGenerator) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 1, 8, 8)).astype(np.uint8)
    at = [0, 4, 9, 19]
    changed = np.abs(edit_images(plain, images, at).results.astype(int) - images[:, None]).mean(axis=(0, 2, 3, 4))
    assert changed[0] < 12
    assert list(changed) == sorted(changed)
    assert changed[-1] > 20


def test_an_interpolation_has_sources_at_its_ends_and_mixes_between(plain: ImageGenerator) -> None:
    a, b = plain.generate([0, 1])
    drawn = np.asarray(make_interpolation_grid(plain, a, b, [0, 10], (0, 0.5, 1)))
    factor = round(((drawn.shape[1] - 60) / 5 - 4) / 8)
    assert factor == 23
    last = drawn[-(8 * factor + 4) : -4, -(8 * factor + 4) : -4][::factor, ::factor]
    assert np.array_equal(last, b[0])
    for at, mixes in (([20], (0,)), ([], (0,)), ([3], (2,)), ([3], ())):
        with pytest.raises(DataError, match="expected"):
            make_interpolation_grid(plain, a, b, at, mixes)


def test_images_of_another_shape_are_refused(plain: ImageGenerator) -> None:
    with pytest.raises(DataError, match=r"expected images of shape \(1, 8, 8\); got \(1, 9, 8\)"):
        edit_images(plain, np.zeros((1, 1, 9, 8), np.uint8))


def test_a_sampler_is_named_as_in_a_config(labelled: tuple[Path, Experiment, Checkpoint]) -> None:
    checkpoint = labelled[2]
    assert ImageGenerator.open(checkpoint).sampler == DDIM(steps=20)  # 50 are more than were trained
    assert ImageGenerator.open(checkpoint, {"name": "ddpm", "steps": 3}).sampler == DDPM(steps=3)
    with pytest.raises(ConfigError, match="did you mean 'ddim'"):
        ImageGenerator.open(checkpoint, "dimm")
    with pytest.raises(ConfigError, match="etta"):
        ImageGenerator.open(checkpoint, {"name": "ddim", "etta": 1})
    with pytest.raises(PluginError, match="expected 1 to 20, the trained timesteps; got 21"):
        ImageGenerator.open(checkpoint, DDIM(steps=21))


def test_drawing_touches_no_global_generator(plain: ImageGenerator) -> None:
    before = torch.random.get_rng_state()
    record_trajectory(plain, [0])
    assert torch.equal(before, torch.random.get_rng_state())
