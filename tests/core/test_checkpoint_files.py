from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from noisette import CheckpointError
from noisette.checkpoint import (
    Checkpoint,
    checkpoint_path,
    find_finished_checkpoint,
    find_latest_checkpoint,
    prune_checkpoints,
)
from noisette.storage import committed


def save(run: Path, step: int) -> Path:
    path = checkpoint_path(run, step)
    with committed(path, "checkpoint", {"step": step}) as staging:
        (staging / "network.safetensors").write_bytes(f"weights after {step}".encode())
    return path


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


def test_a_checkpoint_is_opened_with_its_step_and_identity(tmp_path: Path) -> None:
    one, two = (Checkpoint.open(save(tmp_path, step)) for step in (1, 2))
    assert (one.step, two.step) == (1, 2)
    assert one.digest != two.digest
    assert one.directory.name == "step-00000001"


def test_the_latest_is_the_highest_step_whatever_its_age_or_spelling(tmp_path: Path) -> None:
    for step in (200, 100, 99_999_999, 100_000_000):
        save(tmp_path, step)
    found = find_latest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 100_000_000


def test_a_run_without_checkpoints_has_no_latest(tmp_path: Path) -> None:
    assert find_latest_checkpoint(tmp_path) is None
    assert find_latest_checkpoint(tmp_path / "nowhere") is None


def test_an_early_end_whose_file_is_cut_is_no_end(tmp_path: Path) -> None:
    save(tmp_path, 4)
    target = checkpoint_path(tmp_path, 8)
    with committed(target, "checkpoint", {"step": 8, "ended": "its time is over"}) as staging:
        (staging / "network.safetensors").write_bytes(b"weights")
    done = find_finished_checkpoint(tmp_path, 100)
    assert done is not None
    assert done.step == 8
    (target / "network.safetensors").write_bytes(b"weigh")
    assert find_finished_checkpoint(tmp_path, 100) is None  # so the training goes on from step 4


def test_what_is_no_checkpoint_is_not_looked_at(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, 1)
    for name in ("step-final", "step-00000002.bak", ".staging-step-00000003-1", "step--0000005"):
        (tmp_path / "checkpoints" / name).mkdir()
    found = find_latest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 1
    assert caplog.records == []


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "manifest", "no-manifest", "gone"])
def test_a_damaged_one_is_named_and_the_one_before_taken(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    weights = newest / "network.safetensors"
    match damage:
        case "flip":
            flip(weights)
        case "cut":
            weights.write_bytes(weights.read_bytes()[:-1])
        case "missing" | "gone":
            weights.unlink()
        case "manifest":
            flip(newest / "MANIFEST.json")
    if damage in ("no-manifest", "gone"):
        (newest / "MANIFEST.json").unlink()
    with caplog.at_level(logging.WARNING):
        found = find_latest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 1
    assert len(caplog.records) == 1
    assert caplog.text.count("damaged checkpoint skipped") == 1
    assert "step-00000002" in caplog.text
    with pytest.raises(CheckpointError, match="step-00000002"):
        Checkpoint.open(newest)


def test_when_all_are_damaged_there_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for step in (1, 2):
        flip(save(tmp_path, step) / "network.safetensors")
    assert find_latest_checkpoint(tmp_path) is None
    assert len(caplog.records) == 2


def test_finished_means_the_last_step_with_all_its_bytes(tmp_path: Path) -> None:
    path = save(tmp_path, 5)
    assert find_finished_checkpoint(tmp_path, 6) is None
    done = find_finished_checkpoint(tmp_path, 5)
    assert done is not None
    assert done.step == 5
    weights = path / "network.safetensors"
    weights.write_bytes(weights.read_bytes() + b"!")
    assert find_finished_checkpoint(tmp_path, 5) is None


def test_the_newest_are_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        save(tmp_path, step)
    (tmp_path / "checkpoints" / "step-by-step.txt").touch()
    prune_checkpoints(tmp_path, 2, 10)
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert left == ["step-00000003", "step-00000010", "step-by-step.txt"]
    prune_checkpoints(tmp_path, 5, 10)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 3


def test_a_damaged_later_checkpoint_drives_out_no_good_one(tmp_path: Path) -> None:
    for step in (1, 2, 9):
        save(tmp_path, step)
    (tmp_path / "checkpoints" / "step-00000009" / "network.safetensors").write_bytes(b"damaged")
    prune_checkpoints(tmp_path, 1, 2)
    found = find_latest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 2


def test_a_checkpoint_says_the_step_that_its_name_says(tmp_path: Path) -> None:
    path = save(tmp_path, 2)
    assert Checkpoint.open(path.rename(tmp_path / "my-model")).step == 2
    moved = (tmp_path / "my-model").rename(checkpoint_path(tmp_path, 7))
    with pytest.raises(CheckpointError, match="expected a checkpoint of this step; got 2"):
        Checkpoint.open(moved)


def test_checkpoints_are_found_without_torch_or_numpy(tmp_path: Path) -> None:
    save(tmp_path, 1)
    script = (
        "import sys; from pathlib import Path; from noisette import checkpoint\n"
        "run = Path(sys.argv[1])\n"
        "print(checkpoint.find_latest_checkpoint(run).step, checkpoint.find_finished_checkpoint(run, 1).step)\n"
        "print([name for name in ('torch', 'numpy', 'safetensors') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["1 1", "[]"]
