"""Pictures that a config lists: made once, found again, told of; with the model's own weights, seed and bound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.tiny import tiny, write_prepared

from noisette import DataError, Events, Experiment, hookimpl, train
from noisette.checkpoint import Checkpoint
from noisette.config import parse
from noisette.figures import Painter, Shown, depict, record
from noisette.figures.trajectory import Walk
from noisette.stages import plan
from noisette.storage import verify

LISTED = (
    "training.class_conditional=true",
    "pictures=["
    "forward, "
    "{name: denoise, count: 3, at: [0, 7, 19], sampler: {name: ddpm, steps: 20}}, "
    "{name: classes, guidance: [0, 2], rows: 1, sampler: {name: ddim, steps: 3}, animate: false}, "
    "{name: edit, picture: 'test:1', at: [5, 10], become: '3', sampler: {name: ddim, steps: 3}}, "
    "{name: interpolate, at: [5], mixes: [0, 0.5, 1], sampler: {name: ddim, steps: 3}}, "
    "{name: inpaint, box: [0, 0, 4, 8], count: 2, jump: 2, resample: 2, sampler: {name: ddpm, steps: 4}}]",
)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Checkpoint, Path]:
    experiment, root = tiny(*LISTED), tmp_path_factory.mktemp("listed")
    write_prepared(root, experiment)
    return experiment, train(experiment, root), root


@pytest.fixture(scope="module")
def shown(listed: tuple[Experiment, Checkpoint, Path]) -> dict[str, Shown]:
    experiment, checkpoint, root = listed
    return {scene.label: depict(experiment, scene, root, checkpoint=checkpoint) for scene in experiment.pictures}


def test_each_writes_its_files_with_a_manifest(shown: dict[str, Shown]) -> None:
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
        assert verify(one.directory, "pictures") == one.manifest
        assert one.about["seed"] == 0
        assert ("checkpoint" in one.about) == (one.label != "forward")


def test_finished_pictures_are_not_made_again(listed: tuple[Experiment, Checkpoint, Path], shown: dict[str, Shown]):
    experiment, checkpoint, root = listed
    told: list[str] = []

    class Listener:
        @hookimpl
        def on_run_start(self, run) -> None:
            told.append(run.name)

    events = Events([Listener()], installed=False)
    again = {
        scene.label: depict(experiment, scene, root, checkpoint=checkpoint, events=events)
        for scene in experiment.pictures
    }
    assert again == shown
    assert told == []
    stages = {stage.name: stage.finished for stage in plan(experiment, root) if stage.name.startswith("pictures ")}
    assert stages == {f"pictures {label}": True for label in shown}
    (shown["edit"].directory / "edit.png").write_bytes(b"")
    assert not next(stage.finished for stage in plan(experiment, root) if stage.name == "pictures edit")
    depict(experiment, experiment.pictures[3], root, checkpoint=checkpoint, events=events)
    assert told == ["edit"]


def test_the_strip_shows_the_steps_that_were_asked_for(
    listed: tuple[Experiment, Checkpoint, Path], shown: dict[str, Shown]
) -> None:
    _, checkpoint, _ = listed
    painter = Painter.open(checkpoint, {"name": "ddpm", "steps": 20})
    walk = record(painter, range(3), frames=2, at=[0, 7, 19])
    assert walk.steps == (19, 7, 0, -1)
    strip = walk.strip(at=[0, 7, 19])
    with Image.open(shown["denoise"].files[0]) as image:
        assert np.array_equal(np.asarray(image), np.asarray(strip))
    assert (
        Walk("x", walk.steps, walk.x_t, walk.x0).strip(at=[8]).width < strip.width
    )  # the nearest, and the pictures


def test_all_frames_are_those_of_one_walk(listed: tuple[Experiment, Checkpoint, Path]) -> None:
    """What is kept decides no picture: each frame is that of the whole walk at its step."""
    _, checkpoint, _ = listed
    painter = Painter.open(checkpoint, {"name": "ddpm", "steps": 20})
    whole, some = record(painter, range(2), frames=100), record(painter, range(2), frames=3, at=[13, 4])
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
        def on_pictures(self, key, path) -> None:
            heard.append((key, path.name))

        @hookimpl
        def on_run_end(self, status) -> None:
            heard.append(("end", status))

    Image.new("RGB", (20, 10), (200, 30, 30)).save(tmp_path / "a.png")
    names = [str(tmp_path / "a.png"), "package:sklearn/datasets/images/flower.jpg"]
    show = parse({"name": "x", "pictures": [{"name": "forward", "pictures": names, "schedules": ["linear"]}]})
    events = Events([Listener()], installed=False)
    made = depict(show, show.pictures[0], tmp_path / "runs", events=events)
    assert heard == [
        ("start", "pictures", "forward", "2"),
        ("step", "1"),
        ("step", "2"),
        ("pictures/forward", "forward-0.png"),
        ("pictures/forward", "forward-1.png"),
        ("end", "finished"),
    ]
    assert made.about["notes"] == [f"{names[1]}: scaled from 640x427 to 96x64"]
    heard.clear()
    lost = parse({"name": "x", "pictures": [{"name": "forward", "pictures": ["nowhere.png"]}]})
    with pytest.raises(DataError, match=r"nowhere\.png: there is no such file"):
        depict(lost, lost.pictures[0], tmp_path / "runs", events=events)
    assert heard[-1] == ("end", "failed")
    assert [path.name for path in (tmp_path / "runs" / "x" / "pictures").iterdir()] == [made.directory.name]


def test_a_show_has_every_schedule_and_an_experiment_its_own(
    listed: tuple[Experiment, Checkpoint, Path], shown: dict[str, Shown], tmp_path: Path
) -> None:
    show = parse(
        {"name": "x", "pictures": [{"name": "forward", "pictures": ["package:sklearn/datasets/images/china.jpg"]}]}
    )
    everything = depict(show, show.pictures[0], tmp_path)
    with Image.open(everything.files[0]) as strip, Image.open(shown["forward"].files[0]) as own:
        assert strip.height > 7 * 64
        assert own.height < 200


def test_the_experiments_present_bound_and_weights_draw(listed: tuple[Experiment, Checkpoint, Path]) -> None:
    """Not those that were written into the checkpoint when it was trained."""
    experiment, checkpoint, root = listed
    scene = experiment.pictures[3]
    changed = tiny(*LISTED, "sampling.clip_x0=0.1", "sampling.ema=false")
    first = depict(experiment, scene, root, checkpoint=checkpoint)
    second = depict(changed, scene, root, checkpoint=checkpoint)
    assert first.directory != second.directory
    hashes = [one.manifest.files["edit-t10.png"].sha256 for one in (first, second)]
    assert hashes[0] != hashes[1]
