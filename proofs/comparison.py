"""What is compared, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

__all__ = ["TOLERANCE", "Comparison", "compare"]

TOLERANCE = 1e-5
"""Largest difference that counts as equal, in float32."""


@dataclass(frozen=True)
class Comparison:
    """A quantity of a recipe, computed by the original and by noisette.

    Attributes:
        quantity: what was computed.
        difference: largest absolute difference; where values exceed 1, relative to the largest.
        reason: why the two differ, if it is known; a known difference is listed and is not an error.
    """

    quantity: str
    difference: float
    reason: str = ""

    @property
    def verdict(self) -> Literal["equal", "listed", "DIFFERENT", "STALE"]:
        """Whether it is equal; STALE is a reason for a difference that is not there."""
        if self.difference <= TOLERANCE:
            return "STALE" if self.reason else "equal"
        return "listed" if self.reason else "DIFFERENT"  # a NaN is never equal


def compare(
    quantity: str, ours: Tensor | Mapping[str, Tensor], theirs: Tensor | Mapping[str, Tensor], reason: str = ""
) -> Comparison:
    """Compare tensors, or all tensors of two mappings by their names.

    Raises:
        ValueError: if names or shapes differ.
    """
    ours, theirs = (x if isinstance(x, Mapping) else {"": x} for x in (ours, theirs))
    if {name: x.shape for name, x in ours.items()} != {name: x.shape for name, x in theirs.items()}:
        wrong = [name for name in {**ours, **theirs} if name not in ours or name not in theirs]
        raise ValueError(f"{quantity}: names or shapes differ: {wrong[:3] or 'shapes'}")
    largest = max(float(x.abs().max()) for x in theirs.values())
    differences = [(ours[name].double() - x.double()).abs().max() for name, x in theirs.items()]
    return Comparison(quantity, float(torch.stack(differences).max()) / max(1.0, largest), reason)
