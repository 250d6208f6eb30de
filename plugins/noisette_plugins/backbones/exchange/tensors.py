"""Tensors in files of other libraries: none is larger than the file it comes from, and no code is read."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from noisette import DataError

__all__ = ["read_archive", "read_tensors"]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        DataError: if it is damaged.
    """
    try:
        tensors = load_file(path)
    except Exception as error:  # of the format, of the system, and of types that torch does not know
        raise DataError(f"{path}: cannot be read: {error}") from None
    _check(tensors, path)
    return tensors


def read_archive(path: Path) -> Mapping[str, Any]:
    """Read what torch.save wrote: tensors and plain values by name.

    Raises:
        DataError: if there is code in it, it is damaged, or it unpacks to more than its size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [entry.filename for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if packed or unpacked > path.stat().st_size:
            raise DataError(f"{path}: expected an archive as torch.save writes it; its entries are compressed")
        read = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{path}: is missing") from None
    except DataError:
        raise
    except (
        Exception
    ):  # what is no archive, or is one of code, can raise anything; torch's advice is to run the code
        raise DataError(
            f"{path}: expected an archive of tensors alone, as torch.save writes it; it holds code or "
            "other objects, which are never loaded, or is damaged"
        ) from None
    if not isinstance(read, Mapping):
        raise DataError(f"{path}: expected weights by name; came {type(read).__name__}")
    for part in (read, *read.values()):
        if isinstance(part, Mapping):
            _check(part, path)
    return read


def _check(tensors: Mapping[Any, Any], path: Path) -> None:
    """Refuse tensors that cannot be computed with, or that one value was expanded to."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            continue
        if tensor.layout != torch.strided or tensor.is_complex() or tensor.is_quantized or tensor.is_meta:
            raise DataError(f"{path}: {name}: expected real numbers; came {tensor.dtype}, {tensor.layout}")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise DataError(f"{path}: {name}: expected as many values as its shape says; it is expanded from fewer")
