"""The conformance kit on every built-in backbone, in small sizes, with each structural option at least once."""

from __future__ import annotations

import pytest

from noisette import Backbone
from noisette.testing import Check, parametrize_with_checks
from noisette_plugins.backbones import (
    ADM,
    ContextUNet,
    DiT,
    LabmlUNet,
    LinearAttentionUNet,
    ScratchUNet,
    Small,
    UNet,
)

pytestmark = pytest.mark.slow

_UNET = {"channels": 8, "multipliers": (1, 2), "blocks": 1, "groups": 4}
_LINEAR = {"channels": 8, "multipliers": (1, 2), "heads": 2, "head_channels": 4}

BACKBONES: list[Backbone] = [
    Small(channels=16, head_channels=16),
    Small(channels=8, multipliers=(1, 3), blocks=(2, 1), attention=(0,), head_channels=4, group_channels=2),
    UNet(**_UNET),
    UNet(**_UNET, attention=(0, 1), head_channels=4, padding="around", time_shift=0, time_channels=12, dropout=0.2),
    ADM(**_UNET, attention=(1,), head_channels=4),
    ADM(
        channels=8, multipliers=(0.5, 1.5), blocks=1, attention=(), groups=4, head_channels=None, heads=3,
        scale_shift=False, resampling="convolution",
    ),
    LinearAttentionUNet(**_LINEAR),
    LinearAttentionUNet(**_LINEAR, time="learned", full_attention=(), memory=0, flash=False),
    LinearAttentionUNet(**_LINEAR, time="random", full_attention=(0, 1)),
    ScratchUNet(channels=8, groups=4, heads=2),
    ContextUNet(channels=8),
    LabmlUNet(channels=32, multipliers=(1, 2), blocks=1, attention=(1,)),
    DiT(width=16, depth=2, heads=2),
]  # fmt: skip


def known(plugin: Backbone) -> dict[str, str]:
    if isinstance(plugin, ContextUNet):
        return {"outputs-have-no-bounds": "untrained batch norms do nothing: larger weights overflow"}
    return {}


@parametrize_with_checks(BACKBONES, known)
def test_conforms(plugin: Backbone, check: Check) -> None:
    check(plugin)
