from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from support.tiny import TINY, tiny

from noisette import CheckpointError, train
from noisette.checkpoint import Checkpoint
from noisette.find import find_checkpoint


@pytest.fixture
def trained(root: Path) -> Checkpoint:
    train(tiny("training.checkpoint_every=4", "training.keep_checkpoints=3"), root)
    (root / "tiny.yaml").write_text(yaml.safe_dump({**TINY}), encoding="utf-8")
    return find_checkpoint(root / "tiny.yaml", root)


def test_a_checkpoint_a_run_and_a_config_lead_to_the_same(root: Path, trained: Checkpoint) -> None:
    checkpoints = trained.directory.parent
    assert trained.step == 12
    for place in (trained.directory, checkpoints, checkpoints.parent, str(checkpoints.parent)):
        assert find_checkpoint(place) == trained
    assert find_checkpoint(checkpoints / "step-00000004").step == 4


def test_a_run_passes_over_a_damaged_checkpoint_but_naming_it_is_refused(root: Path, trained: Checkpoint) -> None:
    weights = trained.directory / "ema.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    assert find_checkpoint(trained.directory.parent.parent).step == 8
    for place in (trained.directory, root / "tiny.yaml"):
        with pytest.raises(CheckpointError, match=r"ema\.safetensors: its content has changed"):
            find_checkpoint(place, root)


def test_what_is_no_trained_model_is_refused_in_words(root: Path, trained: Checkpoint) -> None:
    run = trained.directory.parent.parent
    with pytest.raises(CheckpointError, match="no such file or folder; expected a checkpoint"):
        find_checkpoint(root / "nowhere")
    with pytest.raises(CheckpointError, match=r"expected a checkpoint .* or a run"):
        find_checkpoint(root)
    with pytest.raises(CheckpointError, match="is not trained: there is no checkpoint in"):
        find_checkpoint(root / "tiny.yaml", root, ["seed=1"])
    with pytest.raises(CheckpointError, match="a directory has no config to change"):
        find_checkpoint(run, root, ["seed=1"])
    shutil.rmtree(trained.directory)
    with pytest.raises(CheckpointError, match=r"not finished: .* is at step 8 of 12"):
        find_checkpoint(root / "tiny.yaml", root)
    assert find_checkpoint(run).step == 8
