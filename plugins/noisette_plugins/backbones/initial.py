"""How layers start."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

__all__ = ["zeroed"]

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def zeroed(layer: Layer) -> Layer:
    """Set a layer's weights to zero, so that its branch starts as nothing beside a skip."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
