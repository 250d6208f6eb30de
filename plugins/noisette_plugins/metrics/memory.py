"""Remembering what was computed from a stored state, for as long as the state lives.

Every row of a table is compared with the same reference: what depends on the reference alone is done once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

__all__ = ["Memory"]


class Memory:
    """Values by the tensor they were made from (the very object, which states never change) and a key."""

    def __init__(self) -> None:
        self._values: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def get(self, source: Tensor, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return the value made from `source` under `key`, made now if it was not before."""
        if source not in self._values:
            self._values[source] = {}
        values: dict[Hashable, Any] = self._values[source]
        if key not in values:
            values[key] = make()
        return values[key]
