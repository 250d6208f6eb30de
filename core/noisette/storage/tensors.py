"""Tensors on disk: safetensors, which hold numbers and nothing that runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from noisette.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["read_tensors"]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name, on the CPU.

    Raises:
        CheckpointError: if there is no such file, or it is none: another format under that name is never tried.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError, MemoryError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: expected tensors in the format of safetensors; {error}") from None
