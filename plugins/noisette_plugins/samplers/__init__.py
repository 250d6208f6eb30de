"""Samplers: walks from noise to pictures."""

from __future__ import annotations

from collections.abc import Iterator

from noisette import Sampler, hookimpl
from noisette_plugins.samplers.ddim import DDIM
from noisette_plugins.samplers.ddpm import DDPM

__all__ = ["DDIM", "DDPM"]


@hookimpl
def plugins() -> Iterator[type[Sampler]]:
    """Yield the samplers of this folder."""
    yield from (DDPM, DDIM)
