"""Bits flip and files are cut short: every damage is found, named, and the checkpoint before it used."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.jobs import training
from support.reliability import Result
from torch import Tensor

from noisette import CheckpointError, Model, StorageError, evaluate, sample, train
from noisette.checkpoint import Checkpoint, checkpoint_path, find_finished_checkpoint, find_latest_checkpoint
from noisette.layout import training_directory
from noisette.storage import is_complete

Record = Callable[[Result], None]
Times = Callable[[int, int], int]
SECTION = "Damage"
Damage = Callable[[bytes, random.Random], bytes]


def flip(content: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(content)
    damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


@pytest.fixture
def run(finished_root: Path, tmp_path: Path) -> Path:
    """A finished training with two checkpoints."""
    shutil.copytree(finished_root, tmp_path / "runs")
    run = training_directory(training(), tmp_path / "runs")
    for directory in sorted((run / "checkpoints").iterdir())[:-2]:
        shutil.rmtree(directory)
    return run


def missed(path: Path, damage: Damage, count: int, seed: int, read: Callable[[], object]) -> int:
    """Return after how many damages a file is read without a word."""
    content, chance, silent = path.read_bytes(), random.Random(seed), 0
    for _ in range(count):
        path.write_bytes(damage(content, chance))
        try:
            read()
        except Exception:  # whatever it is, it was noticed
            continue
        silent += 1
    path.write_bytes(content)
    return silent


@pytest.mark.parametrize(
    ("damage", "fault", "few", "many"),
    [(flip, "a flipped bit in a checkpoint file", 40, 400), (cut, "a truncated checkpoint file", 20, 100)],
)
def test_all_damage_is_found(
    run: Path,
    times: Times,
    record: Record,
    caplog: pytest.LogCaptureFixture,
    damage: Damage,
    fault: str,
    few: int,
    many: int,
) -> None:
    newest = find_latest_checkpoint(run)
    assert newest is not None
    previous = Checkpoint.open(sorted((run / "checkpoints").iterdir())[0])
    files = sorted(newest.directory.iterdir())
    chance, count = random.Random(11), times(few, many)
    found = named = used = refused = 0
    for number in range(count):
        path = files[number % len(files)]
        content = path.read_bytes()
        path.write_bytes(damage(content, chance))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            instead = find_latest_checkpoint(run)
        found += instead is not None and instead.step != newest.step
        used += instead == previous
        named += path.name in caplog.text
        refused += is_refused(newest)
        path.write_bytes(content)
    assert find_latest_checkpoint(run) == newest
    seen = {
        "file named": named,
        "previous checkpoint used": used,
        "refused by sampling": refused,
        "files": ", ".join(path.name for path in files),
    }
    record(Result(SECTION, fault, count, found, seen, others(newest, run.parent, damage, count)))
    assert found == named == used == refused == count


def is_refused(checkpoint: Checkpoint) -> bool:
    """Return whether a checkpoint that training calls finished, by its sizes, gives no images."""
    try:
        Model.load(checkpoint)
    except CheckpointError:
        return True
    return False


def others(checkpoint: Checkpoint, folder: Path, damage: Damage, count: int) -> dict[str, str]:
    """Return how much of the same damage others miss: torch's own format, and safetensors without hashes."""
    tensors = {
        f"{path.stem}.{name}": tensor
        for path in checkpoint.directory.glob("*.safetensors")
        for name, tensor in load_file(path).items()
    }
    saved = folder / "state.pt"
    torch.save(tensors, saved)
    bare = folder / "state.safetensors"
    from safetensors.torch import save_file

    save_file(tensors, bare)
    loads: dict[str, tuple[Path, Callable[[], dict[str, Tensor]]]] = {
        "missed by torch.load": (saved, lambda: torch.load(saved, weights_only=True)),
        "missed by plain safetensors": (bare, lambda: load_file(bare)),
    }
    return {what: f"{missed(path, damage, count, 13, read)} of {count}" for what, (path, read) in loads.items()}


def test_the_step_before_the_damage_is_trained_again(run: Path) -> None:
    """What a person does: remove the damaged directory, as the message says, and run again."""
    experiment, root = training(), run.parent
    expected = Checkpoint.open(checkpoint_path(run, experiment.training.steps))
    weights = expected.directory / "ema.safetensors"
    weights.write_bytes(flip(weights.read_bytes(), random.Random(1)))
    with pytest.raises(CheckpointError, match=rf"ema\.safetensors.*; remove {expected.directory} and run again"):
        Model.load(expected)
    shutil.rmtree(expected.directory)
    assert train(experiment, root).manifest.files == expected.manifest.files


def test_damaged_images_are_not_used(run: Path, times: Times, record: Record) -> None:
    """Neither for training nor for a comparison."""
    root, longer = run.parent, training("training.steps=42")
    experiment = training("evaluation.metrics=[kid]")
    samples = sample(experiment, finished_in(run), experiment.sampling.samplers[0])
    uses: dict[Path, Callable[[], object]] = {
        next(root.glob("data/*/train.npy")): lambda: train(longer, root),
        samples.directory / "images.npy": lambda: evaluate(experiment, [samples], root),
    }
    chance, count, found, by_size = random.Random(3), times(5, 50), 0, 0
    for path, use in uses.items():
        content = path.read_bytes()
        for _ in range(count):
            path.write_bytes(flip(content, chance))
            by_size += not is_complete(path.parent, "samples" if path.name == "images.npy" else "prepared")
            try:
                use()
            except StorageError as error:
                found += str(path) in str(error)
        path.write_bytes(content)
    seen = {"refused, file named": found, "in": "prepared images, samples"}
    control = {"detected by file sizes": f"{by_size} of {2 * count}"}
    record(Result(SECTION, "a flipped bit in images", 2 * count, found, seen, control))
    assert found == 2 * count


def finished_in(run: Path) -> Checkpoint:
    checkpoint = find_finished_checkpoint(run, training().training.steps)
    assert checkpoint is not None
    return checkpoint
