"""Objectives: what a network predicts, and its loss."""

from __future__ import annotations

from collections.abc import Iterator

from noisette import Objective, hookimpl
from noisette_plugins.objectives.eps import Eps
from noisette_plugins.objectives.v import V
from noisette_plugins.objectives.x0 import X0

__all__ = ["X0", "Eps", "V"]


@hookimpl
def plugins() -> Iterator[type[Objective]]:
    """Yield the objectives of this folder."""
    yield from (Eps, X0, V)
