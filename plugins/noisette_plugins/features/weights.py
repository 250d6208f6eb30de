"""Weights of feature networks: read only after their hash was checked, never unpickled into code."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from noisette import DataError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PublishedWeights", "read_weights"]


def read_weights(path: Path, what: str, remedy: str) -> bytes:
    """Return the content of a file of weights.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected {what}; it cannot be read: {error.strerror}; {remedy}") from None


@dataclass(frozen=True)
class PublishedWeights:
    """Weights that someone published as a .pth file.

    Attributes:
        what: their name in messages.
        sha256: hash of the file.
        remedy: what to do if the file is not that one.
    """

    what: str
    sha256: str
    remedy: str

    def check(self, path: Path) -> bytes:
        """Return the file's content if its hash is the published one.

        Raises:
            DataError: if it cannot be read or has another hash.
        """
        content = read_weights(path, self.what, self.remedy)
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise DataError(
                f"{path}: expected {self.what}, with sha256 {self.sha256}; the file has {found}; {self.remedy}"
            )
        return content

    def load(self, path: Path) -> dict[str, Tensor]:
        """Return the tensors of the very bytes that were checked; no code inside the file is run.

        Raises:
            DataError: as `check`.
        """
        import torch

        tensors: dict[str, Tensor] = torch.load(io.BytesIO(self.check(path)), map_location="cpu", weights_only=True)
        return tensors
