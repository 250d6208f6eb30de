"""Outputs of the authors' own code, given the same weights.

The weights are formulas (support/filled.py). Each golden line is mean, root mean square, and the first and last
value of each of three images, printed on 2026-11-22 by the code named beside it, in float32 on a CPU with torch
2.15; its weights had been rearranged from ours by name. Sizes are small, the code is whole.
"""

from __future__ import annotations

import pytest
import torch
from support.fixed_weights import digest, fill_network, inputs

from noisette import Backbone
from noisette_plugins.backbones import ADM, DiT, LinearAttentionUNet, ScratchUNet

# openai/guided-diffusion 22e0df8, guided_diffusion/unet.py: UNetModel(8, 3, 32, 6, 1, (2,), channel_mult=(1, 2),
# use_new_attention_order=True, num_classes=4, num_head_channels=16, use_scale_shift_norm=True,
# resblock_updown=True)
ADM_GUIDED = [-0.031421, 0.350988, -0.227888, -0.085256, -0.079895, -0.669359, -0.239279, -0.425225]

# the same, but num_heads=2, use_scale_shift_norm=False, and neither resblock_updown nor num_classes
ADM_PLAIN = [-0.024485, 0.488011, 0.509786, 0.490104, -0.272745, -1.114964, -0.152697, -0.586656]

# facebookresearch/DiT ed81ce2, models.py: DiT(input_size=8, patch_size=2, in_channels=3, hidden_size=32, depth=2,
# num_heads=4, num_classes=3)
DIT = [0.003884, 0.408024, -0.122988, 0.555434, -0.194396, 0.613758, -0.306684, 0.659958]

# nickd16/Diffusion-Models-from-Scratch 52e3cc2, models/unet.py: UNET(Channels=[16, 32, 64, 128, 128, 96],
# num_groups=8, num_heads=4)
SCRATCH = [0.033491, 0.127216, 0.080455, -0.252779, 0.1161, -0.210045, -0.053979, 0.000172]

# lucidrains/denoising-diffusion-pytorch faed4db: Unet(dim=16, dim_mults=(1, 2, 4))
LINEAR = [-0.04261, 0.359178, -0.322177, 0.357985, -0.230826, 0.449948, -0.313905, 0.431616]

# the same: Unet(dim=16, dim_mults=(1, 2), learned_sinusoidal_cond=True, full_attn=(True, False), attn_heads=2,
# attn_dim_head=8); the step itself enters its first layer, so that float32 rounds at 1e-4
LINEAR_LEARNED = [-0.073076, 0.418412, 0.476093, -0.266386, -0.553678, 0.183696, 0.35272, 0.449079]

_ADM = {"channels": 32, "multipliers": (1, 2), "blocks": 1, "attention": (1,)}

CASES = [
    pytest.param(ADM(**_ADM, head_channels=16), (3, 8, 8), 3, 6, ADM_GUIDED, 3e-5, id="adm"),
    pytest.param(
        ADM(**_ADM, head_channels=None, heads=2, scale_shift=False, resampling="convolution"),
        (3, 8, 8), 0, 6, ADM_PLAIN, 5e-5, id="adm-plain",
    ),
    pytest.param(DiT(width=32, depth=2, heads=4), (3, 8, 8), 3, 6, DIT, 2e-5, id="dit"),
    pytest.param(ScratchUNet(channels=16, groups=8, heads=4), (1, 16, 16), 0, 1, SCRATCH, 2e-5, id="scratch-unet"),
    pytest.param(
        LinearAttentionUNet(channels=16, multipliers=(1, 2, 4)),
        (3, 8, 16), 0, 3, LINEAR, 3e-5, id="linear-attention-unet",
    ),
    pytest.param(
        LinearAttentionUNet(
            channels=16, multipliers=(1, 2), full_attention=(0,), heads=2, head_channels=8, time="learned"
        ),
        (3, 8, 16), 0, 3, LINEAR_LEARNED, 1e-3, id="linear-attention-unet-learned",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("backbone", "shape", "classes", "outputs", "golden", "tolerance"), CASES)
def test_the_authors_code_says_the_same(
    backbone: Backbone,
    shape: tuple[int, int, int],
    classes: int,
    outputs: int,
    golden: list[float],
    tolerance: float,
) -> None:
    network = fill_network(backbone.build(shape, classes, outputs))
    x, t, label = inputs(shape)
    with torch.no_grad():
        came = network(x, t, label if classes else None)
    assert digest(came) == pytest.approx(golden, abs=tolerance)


def test_the_digest_sees_queries_in_the_place_of_keys() -> None:
    network = fill_network(DiT(width=32, depth=2, heads=4).build((3, 8, 8), 3, 6))
    x, t, label = inputs((3, 8, 8))
    with torch.no_grad():
        network.blocks[1].qkv.weight.copy_(network.blocks[1].qkv.weight.roll(32, dims=0))
        came = network(x, t, label)
    assert digest(came) != pytest.approx(DIT, abs=1e-3)
