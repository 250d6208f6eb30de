"""Shards of images: the same bits whatever the split, joined only if they are whole and alike."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny import tiny, write_prepared

from noisette import Events, Experiment, Run, Samples, StorageError, hookimpl, sample, train
from noisette.checkpoint import Checkpoint
from noisette.journal import read_journal
from noisette.sampling import join_shards, sample_shard, split_into_parts

COUNT = ("sampling.num_images=7", "sampling.batch_size=2")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    experiment = tiny("training.class_conditional=true")
    write_prepared(folder, experiment)
    train(experiment, folder)
    return folder


@pytest.fixture
def place(root: Path, tmp_path: Path) -> tuple[Experiment, Checkpoint, Path]:
    """A copy of the trained experiment, nothing drawn yet."""
    shutil.copytree(root, tmp_path / "runs")
    experiment = tiny("training.class_conditional=true", *COUNT)
    return experiment, train(experiment, tmp_path / "runs"), tmp_path / "runs"


def asked(experiment: Experiment, checkpoint: Checkpoint, root: Path, sampler: int = 1) -> tuple[Any, ...]:
    return experiment, checkpoint, experiment.sampling.samplers[sampler], root


@pytest.mark.parametrize(
    ("count", "batch", "most", "parts"),
    [
        (7, 2, 1, [(0, 7)]),
        (7, 2, 2, [(0, 4), (4, 7)]),
        (7, 2, 9, [(0, 2), (2, 4), (4, 6), (6, 7)]),
        (500, "null", 4, [(0, 256), (256, 500)]),
        (1000, "null", 3, [(0, 256), (256, 512), (512, 1000)]),
    ],
)
def test_parts_are_whole_batches(count: int, batch: object, most: int, parts: list[tuple[int, int]]) -> None:
    found = split_into_parts(tiny(f"sampling.num_images={count}", f"sampling.batch_size={batch}"), most)
    assert [(part.start, part.stop) for part in found] == parts


@pytest.mark.parametrize("sampler", [0, 1])
@pytest.mark.parametrize("most", [1, 2, 4])
def test_images_are_the_same_bits_whatever_the_split(
    place: tuple[Experiment, Checkpoint, Path], sampler: int, most: int
) -> None:
    order = asked(*place, sampler)
    parts = split_into_parts(order[0], most)
    joined = join_shards(*order[:3], [sample_shard(*order[:3], part, order[3]) for part in reversed(parts)])
    told, images, labels = dict(joined.about), np.array(joined.images), np.array(joined.labels)
    grid = joined.grid.read_bytes()
    assert not list((joined.directory.parent.parent / "shards").iterdir())
    shutil.rmtree(joined.directory)

    whole = sample(*order)
    assert whole.directory == joined.directory
    np.testing.assert_array_equal(images, whole.images)
    np.testing.assert_array_equal(labels, whole.labels)
    assert grid == whole.grid.read_bytes()
    own = {"seconds_per_image": 0, "timed": None}
    assert {**told, **own} == {**whole.about, **own}
    assert np.unique(images.reshape(7, -1), axis=0).shape[0] == 7  # the control: no image stands for another


def test_joined_samples_are_reported_as_sampled_ones_are(place: tuple[Experiment, Checkpoint, Path]) -> None:
    told = []

    class Listener:
        @hookimpl
        def on_images(self, run: Run, key: str) -> None:
            told.append((run.stage, run.name, run.total, key))

    order = asked(*place)
    drawn = [sample_shard(*order[:3], part, order[3]) for part in split_into_parts(order[0], 2)]
    joined = join_shards(*order[:3], drawn, events=Events([Listener()]))
    label = order[2].label
    assert told == [("sample", label, 7, f"samples/{label}")]
    (entry,) = [entry for entry in read_journal(order[1].run) if entry["stage"] == "sample"]
    assert entry["metrics"]["seconds_per_image"] == joined.about["seconds_per_image"] > 0
    assert join_shards(*order[:3], []) == joined  # a finished set needs no shards


def test_a_shard_that_was_drawn_is_not_drawn_again(
    place: tuple[Experiment, Checkpoint, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = asked(*place)
    first, second = split_into_parts(order[0], 2)
    drawn = sample_shard(*order[:3], first, order[3])
    monkeypatch.setattr("noisette.sampling.writer.Model.load", lambda *_, **__: pytest.fail("it draws"))
    assert sample_shard(*order[:3], first, order[3]) == drawn
    with pytest.raises(pytest.fail.Exception):  # the control
        sample_shard(*order[:3], second, order[3])


def change(shard: Path, **about: object) -> None:
    path = shard / "MANIFEST.json"
    manifest = json.loads(path.read_text())
    manifest["about"] |= about
    path.write_text(json.dumps(manifest))


def test_shards_that_are_missing_damaged_or_unlike_are_refused(place: tuple[Experiment, Checkpoint, Path]) -> None:
    order = asked(*place)
    first, second = (sample_shard(*order[:3], part, order[3]) for part in split_into_parts(order[0], 2))
    with pytest.raises(StorageError, match="expected shards of images 0 to 7; got 4 to 7"):
        join_shards(*order[:3], [second])
    with pytest.raises(StorageError, match="got none"):
        join_shards(*order[:3], [])
    images = second / "images.npy"
    content = images.read_bytes()
    images.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StorageError, match=r"images\.npy"):
        join_shards(*order[:3], [first, second])
    images.write_bytes(content)
    assert Samples.finished(order[1].run / "samples" / second.name) is None
    assert len(join_shards(*order[:3], [first, second]).images) == 7  # the control
