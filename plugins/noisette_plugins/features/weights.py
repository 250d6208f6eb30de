"""Weights of feature networks, loaded only after their hash is verified and without executing pickled code."""

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
    """Return the content of a weight file.

    Args:
        path: path of the file.
        what: name of the weights in messages.
        remedy: advice appended to the message.

    Raises:
        DataError: if the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected {what}; it cannot be read: {error.strerror}; {remedy}") from None


@dataclass(frozen=True)
class PublishedWeights:
    """Weights published as a .pth file.

    Attributes:
        what: name of the weights in messages.
        sha256: SHA-256 of the file.
        remedy: advice if the file is missing or has another hash.
    """

    what: str
    sha256: str
    remedy: str

    def check(self, path: Path) -> bytes:
        """Return the content of the file after verifying its hash.

        Raises:
            DataError: if the file cannot be read or has another hash.
        """
        content = read_weights(path, self.what, self.remedy)
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise DataError(
                f"{path}: expected {self.what}, with sha256 {self.sha256}; the file has {found}; {self.remedy}"
            )
        return content

    def load(self, path: Path) -> dict[str, Tensor]:
        """Return the tensors of the verified content, without running any code in the file.

        Raises:
            DataError: see `check`.
        """
        import torch

        tensors: dict[str, Tensor] = torch.load(io.BytesIO(self.check(path)), map_location="cpu", weights_only=True)
        return tensors
