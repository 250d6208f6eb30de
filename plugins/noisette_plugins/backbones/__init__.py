"""Backbones: the networks that are trained."""

from __future__ import annotations

from collections.abc import Iterator

from noisette import Backbone, hookimpl
from noisette_plugins.backbones.unet import UNet

__all__ = ["UNet"]


@hookimpl
def plugins() -> Iterator[type[Backbone]]:
    """Yield the backbones of this folder."""
    yield from (UNet,)
