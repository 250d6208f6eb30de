"""What a network is shown beside x_t: its own earlier view, and a small picture to enlarge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from noisette.contracts import Shape
from noisette.errors import DataError

__all__ = ["Inputs"]


@dataclass(frozen=True)
class Inputs:
    """The further channels of a network's input, in this order.

    Attributes:
        self_condition: the x0 that it saw a step earlier.
        low_resolution: pixels of the shorter side of a small picture, enlarged; None for none.
    """

    self_condition: bool = False
    low_resolution: int | None = None

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> Inputs:
        """Read the training options of a config or a checkpoint."""
        return cls(bool(training.get("self_condition")), training.get("low_resolution"))

    def shape(self, picture: Shape) -> Shape:
        """Return channels, height and width of what the network is shown.

        Raises:
            DataError: if the small picture is no smaller than the picture.
        """
        channels, height, width = picture
        side = self.low_resolution
        if side is not None and side >= min(height, width):
            most = min(height, width)
            raise DataError(f"training.low_resolution: expected fewer pixels than the pictures' {most}; got {side}")
        return channels * (1 + self.self_condition + (side is not None)), height, width
