"""A checkpoint without what only training needs: the weights that draw, and what they are."""

from __future__ import annotations

import shutil
from pathlib import Path

from noisette.checkpoint import Checkpoint
from noisette.storage import committed
from noisette.training.model import weights_of

__all__ = ["slim"]


def slim(checkpoint: Checkpoint, target: Path) -> Checkpoint:
    """Write the averaged weights of a checkpoint, or the network's where none were averaged, as a checkpoint.

    It draws the same pictures, and has about a quarter of the bytes. No training can go on from it.

    Args:
        checkpoint: what is copied.
        target: a new directory.

    Raises:
        CheckpointError: if the checkpoint is damaged; StorageError: if the target cannot be written.
    """
    whole = Checkpoint.open(checkpoint.directory)
    file = weights_of(whole, True)
    about = {**whole.about, "slim": whole.digest}
    with committed(target, "checkpoint", about) as staging:
        shutil.copyfile(whole.directory / file, staging / file)
    return Checkpoint.open(target)
