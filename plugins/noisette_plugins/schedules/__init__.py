"""Noise schedules."""

from __future__ import annotations

from collections.abc import Iterator

from noisette import Schedule, hookimpl
from noisette_plugins.schedules.constant import Constant
from noisette_plugins.schedules.cosine import Cosine
from noisette_plugins.schedules.given import Given
from noisette_plugins.schedules.linear import Linear
from noisette_plugins.schedules.quadratic import Quadratic, ScaledLinear
from noisette_plugins.schedules.sigmoid import Sigmoid
from noisette_plugins.schedules.zero_terminal import ZeroTerminal

__all__ = ["Constant", "Cosine", "Given", "Linear", "Quadratic", "ScaledLinear", "Sigmoid", "ZeroTerminal"]


@hookimpl
def plugins() -> Iterator[type[Schedule]]:
    """Yield the schedules of this folder."""
    yield from (Linear, Cosine, Quadratic, ScaledLinear, Sigmoid, Constant, Given, ZeroTerminal)
