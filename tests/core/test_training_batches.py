from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny import tiny, write_prepared

from noisette import DataError, Prepared
from noisette.layout import data_directory
from noisette.pixels import to_unit
from noisette.training.batches import Batches


def batches(root: Path, *overrides: str) -> Batches:
    experiment = tiny(*overrides)
    prepared = Prepared.finished(data_directory(experiment, root))
    assert prepared is not None
    return Batches(experiment, prepared)


def test_a_batch_depends_on_seed_and_step_alone(root: Path) -> None:
    forwards, backwards = batches(root), batches(root)
    seen = [forwards[step] for step in range(12)]
    again = [backwards[step] for step in reversed(range(12))][::-1]
    for a, b in zip(seen, again, strict=True):
        assert torch.equal(a.x0, b.x0)
        assert torch.equal(a.t, b.t)
        assert torch.equal(a.eps, b.eps)
    assert not torch.equal(seen[0].eps, batches(root, "seed=1")[0].eps)


def test_every_image_comes_once_an_epoch(root: Path) -> None:
    source = batches(root, "training.batch_size=7")  # 40 images: epochs and batches do not fit
    rows = torch.cat([source[step].x0 for step in range(40)])
    for epoch in range(7):
        images = {image.numpy().tobytes() for image in rows[epoch * 40 : (epoch + 1) * 40]}
        assert len(images) == 40
    first, second = rows[:40], rows[40:80]
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("drop_last", "sizes"), [("true", [12] * 3), ("false", [12, 12, 12, 4])])
def test_the_last_batch_of_an_epoch_is_dropped_or_smaller(root: Path, drop_last: str, sizes: list[int]) -> None:
    source = batches(root, "training.batch_size=12", f"training.drop_last={drop_last}")  # 40 images
    epochs = []
    for epoch in range(3):
        parts = [source[epoch * len(sizes) + step] for step in range(len(sizes))]
        assert [len(part.x0) for part in parts] == [len(part.t) for part in parts] == sizes
        epochs.append(torch.cat([part.x0 for part in parts]))
        assert len({image.numpy().tobytes() for image in epochs[-1]}) == sum(sizes)
    assert not torch.equal(epochs[0], epochs[1])
    undivided = batches(root, "training.batch_size=40")
    assert all(torch.equal(rows, undivided[epoch].x0[: sum(sizes)]) for epoch, rows in enumerate(epochs))


def test_an_epoch_without_a_full_batch_is_refused(root: Path) -> None:
    message = r"expected at least training.batch_size, 41, images; got 40: set it to false"
    with pytest.raises(DataError, match=message):
        batches(root, "training.batch_size=41", "training.drop_last=true")


def test_all_steps_are_trained_the_first_and_the_last_too(root: Path) -> None:
    source = batches(root)
    steps = torch.cat([source[step].t for step in range(100)])
    counts = torch.bincount(steps, minlength=20)
    assert len(counts) == 20
    assert int(counts.min()) > 15  # 800 draws over 20 steps: 40 expected


def test_flips_mirror_about_half(root: Path) -> None:
    plain, flipped = batches(root), batches(root, "training.random_flip=true")
    mirrored = [
        not torch.equal(a, b) for step in range(50) for a, b in zip(plain[step].x0, flipped[step].x0, strict=True)
    ]
    assert 0.4 < np.mean(mirrored) < 0.6
    for a, b in zip(plain[0].x0, flipped[0].x0, strict=True):
        assert torch.equal(a, b) or torch.equal(a.flip(-1), b)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_labels_follow_their_images_and_some_are_hidden(root: Path, dropout: float) -> None:
    source = batches(root, "training.class_conditional=true", f"training.class_dropout={dropout}")
    hidden, total = 0, 0
    for step in range(60):
        batch = source[step]
        assert batch.label is not None
        stripes = batch.x0[:, 0].mean(dim=-1).argmax(dim=-1)  # the bright row is the class
        shown = batch.label != 8
        assert torch.equal(batch.label[shown], stripes[shown])
        hidden, total = hidden + int((~shown).sum()), total + len(shown)
    assert abs(hidden / total - dropout) < 0.08


def test_bytes_become_the_unit_interval() -> None:
    assert to_unit(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_more_images_than_a_batch_are_not_needed(tmp_path: Path) -> None:
    write_prepared(tmp_path, tiny(), images=3)
    assert batches(tmp_path)[0].x0.shape == (8, 1, 8, 8)


def test_antithetic_steps_mirror_each_other(root: Path) -> None:
    t = batches(root, "training.timestep_sampler=antithetic", "training.batch_size=7")[0].t
    assert torch.equal(t[4:], 19 - t[:3])
    assert t.shape == (7,)


def test_offset_noise_is_shared_by_a_channel(root: Path) -> None:
    source, plain = batches(root, "training.offset_noise=0.5"), batches(root)
    offsets = torch.cat([source[step].eps - plain[step].eps for step in range(100)])
    assert offsets.std(dim=(2, 3)).max() < 1e-6
    assert 0.45 < float(offsets[:, 0, 0, 0].std()) < 0.55
