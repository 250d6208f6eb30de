"""Images that a config lists: made once, found again, told of; with the model's own weights, seed and bound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.tiny import tiny, write_prepared

from noisette import DataError, Events, Experiment, hookimpl, train
from noisette.checkpoint import Checkpoint
from noisette.config import parse
from noisette.figures import FigureResult, ImageGenerator, make_figure, record_trajectory, render_figure
from noisette.figures.trajectory import Trajectory
from noisette.stages import plan_stages
from noisette.storage import verify

LISTED = (
    "training.class_conditional=true",
    "figures=["
    "forward, "
    "{name: denoise, num_images: 3, timesteps: [0, 7, 19], sampler: {name: ddpm, steps: 20}}, "
    "{name: classes, guidance_scale: [1, 3], rows: 1, sampler: {name: ddim, steps: 3}, animate: false}, "
    "{name: edit, image: 'test:1', timesteps: [5, 10], class_name: '3', sampler: {name: ddim, steps: 3}}, "
    "{name: interpolate, timesteps: [5], weights: [0, 0.5, 1], sampler: {name: ddim, steps: 3}}, "
    "{name: inpaint, box: [0, 0, 4, 8], num_images: 2, jump_length: 2, jump_n_sample: 2, "
    "sampler: {name: ddpm, steps: 4}}]",
)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Checkpoint, Path]:
    experiment, root = tiny(*LISTED), tmp_path_factory.mktemp("listed")
    write_prepared(root, experiment)
    return experiment, train(experiment, root), root


@pytest.fixture(scope="module")
def shown(listed: tuple[Experiment, Checkpoint, Path]) -> dict[str, FigureResult]:
    experiment, checkpoint, root = listed
    return {
        figure.label: make_figure(experiment, figure, root, checkpoint=checkpoint) for figure in experiment.figures
    }


def test_each_writes_its_files_with_a_manifest(shown: dict[str, FigureResult]) -> None:
    assert {label: [path.name for path in one.files] for label, one in shown.items()} == {
        "forward": ["forward.png"],
        "denoise": ["denoise.png", "denoise.gif", "denoise.webp"],
        "classes": ["classes.png"],
        "edit": ["edit.png"],
        "interpolate": ["interpolate.png"],
        "inpaint": ["inpaint.png"],
    }
    assert set(shown["edit"].manifest.files) == {"edit.png", "edit-t5.png", "edit-t10.png"}
    assert set(shown["inpaint"].manifest.files) == {"inpaint.png", "inpaint-0.png", "inpaint-1.png"}
    for one in shown.values():
        assert verify(one.directory, "figures") == one.manifest
        assert one.about["seed"] == 0
        assert ("checkpoint" in one.about) == (one.label != "forward")


def test_finished_images_are_not_made_again(
    listed: tuple[Experiment, Checkpoint, Path], shown: dict[str, FigureResult]
):
    experiment, checkpoint, root = listed
    started: list[str] = []

    class Listener:
        @hookimpl
        def on_run_start(self, run) -> None:
            started.append(run.name)

    events = Events([Listener()], installed=False)
    again = {
        figure.label: make_figure(experiment, figure, root, checkpoint=checkpoint, events=events)
        for figure in experiment.figures
    }
    assert again == shown
    assert started == []
    stages = {
        stage.name: stage.finished for stage in plan_stages(experiment, root) if stage.name.startswith("figures ")
    }
    assert stages == {f"figures {label}": True for label in shown}
    (shown["edit"].directory / "edit.png").write_bytes(b"")
    assert not next(stage.finished for stage in plan_stages(experiment, root) if stage.name == "figures edit")
    make_figure(experiment, experiment.figures[3], root, checkpoint=checkpoint, events=events)
    assert started == ["edit"]


def test_the_strip_shows_the_steps_that_were_asked_for(
    listed: tuple[Experiment, Checkpoint, Path], shown: dict[str, FigureResult]
) -> None:
    _, checkpoint, _ = listed
    generator = ImageGenerator.open(checkpoint, {"name": "ddpm", "steps": 20})
    trajectory = record_trajectory(generator, range(3), frames=2, at=[0, 7, 19])
    assert trajectory.steps == (19, 7, 0, -1)
    strip = trajectory.strip(at=[0, 7, 19])
    with Image.open(shown["denoise"].files[0]) as image:
        assert np.array_equal(np.asarray(image), np.asarray(strip))
    assert (
        Trajectory("x", trajectory.steps, trajectory.x_t, trajectory.x0).strip(at=[8]).width < strip.width
    )  # the nearest, and the images


def test_all_frames_are_those_of_one_walk(listed: tuple[Experiment, Checkpoint, Path]) -> None:
    """What is kept decides no image: each frame is that of the whole walk at its step."""
    _, checkpoint, _ = listed
    generator = ImageGenerator.open(checkpoint, {"name": "ddpm", "steps": 20})
    whole, some = (
        record_trajectory(generator, range(2), frames=100),
        record_trajectory(generator, range(2), frames=3, at=[13, 4]),
    )
    assert {13, 4} < set(some.steps)
    for frame, step in enumerate(some.steps):
        assert np.array_equal(some.x_t[frame], whole.x_t[whole.steps.index(step)])


def test_listeners_hear_of_the_files(listed: tuple[Experiment, Checkpoint, Path], tmp_path: Path) -> None:
    heard: list[tuple[str, ...]] = []

    class Listener:
        @hookimpl
        def on_run_start(self, run) -> None:
            heard.append(("start", run.stage, run.name, str(run.total)))

        @hookimpl
        def on_step(self, step) -> None:
            heard.append(("step", str(step)))

        @hookimpl
        def on_images(self, key, path) -> None:
            heard.append((key, path.name))

        @hookimpl
        def on_run_end(self, status) -> None:
            heard.append(("end", status))

    Image.new("RGB", (20, 10), (200, 30, 30)).save(tmp_path / "a.png")
    names = [str(tmp_path / "a.png"), "package:sklearn/datasets/images/flower.jpg"]
    show = parse({"name": "x", "figures": [{"name": "forward", "images": names, "schedules": ["linear"]}]})
    events = Events([Listener()], installed=False)
    made = make_figure(show, show.figures[0], tmp_path / "runs", events=events)
    assert heard == [
        ("start", "figures", "forward", "2"),
        ("step", "1"),
        ("step", "2"),
        ("figures/forward", "forward-0.png"),
        ("figures/forward", "forward-1.png"),
        ("end", "finished"),
    ]
    assert made.about["notes"] == [f"{names[1]}: scaled from 640x427 to 96x64"]
    heard.clear()
    lost = parse({"name": "x", "figures": [{"name": "forward", "images": ["nowhere.png"]}]})
    with pytest.raises(DataError, match=r"nowhere\.png: expected an image; got no such file"):
        make_figure(lost, lost.figures[0], tmp_path / "runs", events=events)
    assert heard[-1] == ("end", "failed")
    assert [path.name for path in (tmp_path / "runs" / "x" / "figures").iterdir()] == [made.directory.name]


def test_a_show_has_every_schedule_and_an_experiment_its_own(
    listed: tuple[Experiment, Checkpoint, Path], shown: dict[str, FigureResult], tmp_path: Path
) -> None:
    show = parse(
        {"name": "x", "figures": [{"name": "forward", "images": ["package:sklearn/datasets/images/china.jpg"]}]}
    )
    everything = make_figure(show, show.figures[0], tmp_path)
    with Image.open(everything.files[0]) as strip, Image.open(shown["forward"].files[0]) as own:
        assert strip.height > 7 * 64
        assert own.height < 200


def test_the_experiments_present_bound_and_weights_draw(listed: tuple[Experiment, Checkpoint, Path]) -> None:
    """Not those that were written into the checkpoint when it was trained."""
    experiment, checkpoint, root = listed
    figure = experiment.figures[3]
    changed = tiny(*LISTED, "sampling.clip_x0=0.1", "sampling.ema=false")
    first = make_figure(experiment, figure, root, checkpoint=checkpoint)
    second = make_figure(changed, figure, root, checkpoint=checkpoint)
    assert first.directory != second.directory
    hashes = [one.manifest.files["edit-t10.png"].sha256 for one in (first, second)]
    assert hashes[0] != hashes[1]


def test_a_figure_is_rendered_into_any_folder(
    listed: tuple[Experiment, Checkpoint, Path], shown: dict[str, FigureResult], tmp_path: Path
) -> None:
    experiment, checkpoint, _ = listed
    for figure in experiment.figures[1:]:
        rendered = render_figure(figure, tmp_path / "new", checkpoint=checkpoint)
        result = shown[figure.label]
        assert [path.name for path in rendered.files] == [path.name for path in result.files]
        for path in rendered.files + rendered.single_images:
            assert path.read_bytes() == (result.directory / path.name).read_bytes()
    other = render_figure(experiment.figures[3], tmp_path / "seed", checkpoint=checkpoint, seed=7)
    assert other.files[0].read_bytes() != shown["edit"].files[0].read_bytes()
    with pytest.raises(TypeError, match="edit needs a checkpoint"):
        render_figure(experiment.figures[3], tmp_path)
