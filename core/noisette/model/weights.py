"""The weights of a checkpoint: which file has them, how they are loaded, and a copy for inference alone."""

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
    """Return which file of a checkpoint has the asked weights.

    Args:
        decays: those that were averaged with; the first one's file is `ema.safetensors`.
        ema: True for the first average, a number for that of this decay, False for the weights themselves, which
            also stand in where none were averaged.

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
    """Return the name of the file of a decay's average in a checkpoint: the first one's has no number."""
    return "ema.safetensors" if decay == decays[0] else f"ema-{decay}.safetensors"


def find_weights_file(checkpoint: Checkpoint, ema: bool | float) -> str:
    """Return the name of the file that has the asked weights; see `noisette.model.weights.select_weights_file`."""
    if "averaged" in checkpoint.about and ema:
        return "ema.safetensors"
    decays_option = checkpoint.about["experiment"]["training"]["ema_decay"]
    decays = [] if decays_option is None else decays_option if isinstance(decays_option, list) else [decays_option]
    return select_weights_file(decays if "ema.safetensors" in checkpoint.manifest.files else [], ema)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load weights into a network.

    Raises:
        CheckpointError: if names or shapes do not fit.
    """
    state = read_tensors(path)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:4]]
        raise CheckpointError(f"{path}: its weights do not fit the network: {' '.join(lines)}") from None


def export_inference_checkpoint(checkpoint: Checkpoint, target: Path) -> Checkpoint:
    """Write the averaged weights of a checkpoint, or the network's where none were averaged, as a checkpoint.

    It draws the same images, and has about a quarter of the bytes. No training can go on from it.

    Args:
        checkpoint: what is copied.
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
