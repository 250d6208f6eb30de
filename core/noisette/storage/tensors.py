"""Tensors on disk, in safetensors files, which contain no code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from noisette.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TensorFile", "read_tensors"]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name, on the CPU.

    Raises:
        CheckpointError: if the file does not exist or is not in the safetensors format.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError, MemoryError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: expected tensors in the format of safetensors; {error}") from None


class TensorFile:
    """The tensors of a safetensors file.

    Raises:
        CheckpointError: as `read_tensors`.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._tensors = path, read_tensors(path)

    def get_like(self, name: str, expected: Tensor) -> Tensor:
        """Return a tensor.

        Raises:
            CheckpointError: if it is missing, or its shape is not that of `expected`.
        """
        tensor = self._tensors.get(name)
        if tensor is None or tensor.shape != expected.shape:
            actual = "there is none" if tensor is None else f"got {tuple(tensor.shape)}"
            raise CheckpointError(f"{self._path}: {name}: expected shape {tuple(expected.shape)}; {actual}")
        return tensor
