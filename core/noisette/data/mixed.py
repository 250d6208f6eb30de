"""What is wrong with pictures that belong to one set and are not alike."""

from __future__ import annotations

from typing import Literal

from noisette.errors import DataError

__all__ = ["MixedError"]


class MixedError(DataError):
    """Pictures of one set differ in what the preparation does not settle.

    Attributes:
        what: "size" or "channels".
    """

    def __init__(self, message: str, what: Literal["size", "channels"]) -> None:
        super().__init__(message)
        self.what: Literal["size", "channels"] = what
