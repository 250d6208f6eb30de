"""Backbones: the networks that are trained."""

from __future__ import annotations

from collections.abc import Iterator

from noisette import Backbone, hookimpl
from noisette_plugins.backbones.adm import ADM
from noisette_plugins.backbones.context_unet import ContextUNet
from noisette_plugins.backbones.dit import DiT
from noisette_plugins.backbones.labml_unet import LabmlUNet
from noisette_plugins.backbones.linear_attention_unet import LinearAttentionUNet
from noisette_plugins.backbones.scratch_unet import ScratchUNet
from noisette_plugins.backbones.small import Small
from noisette_plugins.backbones.unet import UNet

__all__ = ["ADM", "ContextUNet", "DiT", "LabmlUNet", "LinearAttentionUNet", "ScratchUNet", "Small", "UNet"]


@hookimpl
def plugins() -> Iterator[type[Backbone]]:
    """Yield the backbones of this folder."""
    yield from (Small, UNet, LinearAttentionUNet, ScratchUNet, LabmlUNet, ContextUNet, ADM, DiT)
