"""Tensors on disk: safetensors, which hold numbers and nothing that runs."""

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
        CheckpointError: if there is no such file, or it is none: another format under that name is never tried.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError, MemoryError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: expected tensors in the format of safetensors; {error}") from None


class TensorFile:
    """The tensors of a safetensors file, taken one by one where they are expected.

    Raises:
        CheckpointError: as `read_tensors`.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._tensors = path, read_tensors(path)

    def get_like(self, name: str, expected: Tensor) -> Tensor:
        """Return a tensor.

        Raises:
            CheckpointError: if there is none of this name, or its shape is not that of `expected`.
        """
        found = self._tensors.get(name)
        if found is None or found.shape != expected.shape:
            actual = "there is none" if found is None else f"got {tuple(found.shape)}"
            raise CheckpointError(f"{self._path}: {name}: expected shape {tuple(expected.shape)}; {actual}")
        return found
