"""Noise schedules."""

from __future__ import annotations

from collections.abc import Iterator

from noisette import Schedule, hookimpl
from noisette_plugins.schedules.cosine import Cosine
from noisette_plugins.schedules.linear import Linear

__all__ = ["Cosine", "Linear"]


@hookimpl
def plugins() -> Iterator[type[Schedule]]:
    """Yield the schedules of this folder."""
    yield from (Linear, Cosine)
