"""The weights of a checkpoint: their files, loading, and a copy for inference."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from noisette.checkpoint import Checkpoint
from noisette.errors import CheckpointError
from noisette.storage import committed, read_tensors

__all__ = [
    "ema_file_name",
    "export_inference_checkpoint",
    "find_weights_file",
    "load_weights",
    "select_weights_file",
]


def select_weights_file(decays: Sequence[float], ema: bool | float) -> str:
    """Return the name of the file with the selected weights.

    Args:
        decays: decays of the averages in the checkpoint; the file of the first one is `ema.safetensors`.
        ema: True for the first average, or the weights themselves if there is none; a number for the average of
            this decay; False for the weights themselves.

    Raises:
        CheckpointError: if there is no average of this decay.
    """
    if isinstance(ema, bool):
        return ema_file_name(decays[0], decays) if ema and decays else "network.safetensors"
    if ema not in decays:
        known = f"it has {', '.join(map(str, decays))}" if decays else "it has none"
        raise CheckpointError(f"the checkpoint has no weights averaged with decay {ema}; {known}")
    return ema_file_name(ema, decays)


def ema_file_name(decay: float, decays: Sequence[float]) -> str:
    """Return the file name of an average in a checkpoint; that of the first decay has no number."""
    return "ema.safetensors" if decay == decays[0] else f"ema-{decay}.safetensors"


def find_weights_file(checkpoint: Checkpoint, ema: bool | float) -> str:
    """Return the name of the file with the selected weights; see `select_weights_file`."""
    if "averaged" in checkpoint.about and ema:
        return "ema.safetensors"
    decays_option = checkpoint.about["experiment"]["training"]["ema_decay"]
    decays = [] if decays_option is None else decays_option if isinstance(decays_option, list) else [decays_option]
    return select_weights_file(decays if "ema.safetensors" in checkpoint.manifest.files else [], ema)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load weights into a network.

    Raises:
        CheckpointError: if names or shapes do not fit the network.
    """
    state = read_tensors(path)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:4]]
        raise CheckpointError(f"{path}: its weights do not fit the network: {' '.join(lines)}") from None


def export_inference_checkpoint(checkpoint: Checkpoint, target: Path) -> Checkpoint:
    """Write a checkpoint with the averaged weights only, or with the network's if there is no average.

    It generates the same images and is about a quarter as large; training cannot resume from it.

    Args:
        checkpoint: the checkpoint to copy.
        target: a new directory.

    Raises:
        CheckpointError: if the checkpoint is damaged; StorageError: if the target cannot be written.
    """
    whole = Checkpoint.open(checkpoint.directory)
    file = find_weights_file(whole, True)
    about = {**whole.about, "slim": whole.digest}
    with committed(target, "checkpoint", about) as staging:
        shutil.copyfile(whole.directory / file, staging / file)
    return Checkpoint.open(target)
