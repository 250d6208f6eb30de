"""A small network that keeps every promise."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt

from noisette import Backbone, DataError, Shape

if TYPE_CHECKING:
    from torch import nn


class Tiny(Backbone):
    """Two convolutions with the step and the label added between them."""

    name: ClassVar[str] = "tiny"

    width: PositiveInt = Field(16, description="channels between the convolutions")

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        from conformance.right.tiny_network import TinyNetwork

        if shape[1] * shape[2] < 4:
            raise DataError(f"backbone tiny: expected images of at least 2x2; got {shape[1]}x{shape[2]}")
        return TinyNetwork(self.width, shape[0], classes, outputs)
