"""Parameter counts equal to the published ones. Networks are built on the meta device: nothing is allocated."""

from __future__ import annotations

import pytest
import torch

from noisette import Backbone, Shape
from noisette_plugins.backbones import ADM, ContextUNet, DiT, LabmlUNet, LinearAttentionUNet, ScratchUNet, UNet

CIFAR = (3, 32, 32)
LATENT = (4, 32, 32)


def parameters(backbone: Backbone, shape: Shape, classes: int, outputs: int) -> int:
    with torch.device("meta"):
        network = backbone.build(shape, classes, outputs)
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_ddpm_papers_for_cifar() -> None:
    # Ho et al. 2020, appendix B: 35.7 million; google/ddpm-cifar10-32 counts 35,746,307
    assert parameters(UNet(), CIFAR, 0, 3) == 35_746_307


def test_the_flowers_documents() -> None:
    # Keras' example "ddpm", widths 64 * [1, 2, 4, 8]: its waves are as many as the embedding is wide
    flowers = UNet(channels=64, multipliers=(1, 2, 4, 8), attention=(2, 3), groups=8, time_channels=256)
    assert parameters(flowers, (3, 64, 64), 0, 3) == 63_200_387


def test_the_tutorials() -> None:
    assert parameters(LinearAttentionUNet(), (3, 128, 128), 0, 3) == 35_711_491


def test_the_from_scratch_documents() -> None:
    backbone = ScratchUNet()
    assert backbone.widths == (64, 128, 256, 512, 512, 384)
    assert parameters(backbone, (1, 32, 32), 0, 1) == 35_178_689


def test_labmls() -> None:
    # with the norms that its attention makes and never calls: 167,775,681
    assert LabmlUNet().widths == (64, 128, 256, 1024)
    assert parameters(LabmlUNet(), (1, 32, 32), 0, 1) == 167_775_681 - 10_752


def test_the_conditional_mnist_scripts() -> None:
    assert parameters(ContextUNet(), (1, 28, 28), 10, 1) == 6_585_601


def test_improved_ddpms_for_cifar() -> None:
    # Nichol & Dhariwal 2021, table 2: 52.5 million, with learned variance; their code counts 52,546,438
    options = {"channels": 128, "multipliers": (1, 2, 2, 2), "blocks": 3, "attention": (1, 2), "dropout": 0.3}
    cifar = ADM.model_validate({**options, "heads": 4, "head_channels": None, "resampling": "convolution"})
    assert parameters(cifar, CIFAR, 0, 6) == 52_546_438


def test_adms_for_imagenet_64() -> None:
    # Dhariwal & Nichol 2021, table 14: 296 million; their code counts 295,904,454. Ours has a vector for "no label"
    assert parameters(ADM(), (3, 64, 64), 1000, 6) == 295_904_454 + 4 * 192


@pytest.mark.parametrize(
    ("options", "published", "count"),
    [
        ({}, 33e6, 32_865_056),
        ({"width": 768, "heads": 12}, 130e6, 130_315_808),
        ({"depth": 24, "width": 1024, "heads": 16}, 458e6, 457_840_672),
        ({"depth": 28, "width": 1152, "heads": 16}, 675e6, 674_834_720),
    ],
    ids=["S", "B", "L", "XL"],
)
def test_the_transformers(options: dict[str, int], published: float, count: int) -> None:
    """Peebles & Xie 2023, table 1, patches of 2. Their code's counts also hold the fixed positions, 256 x width."""
    came = parameters(DiT.model_validate(options), LATENT, 1000, 8)
    assert came == count
    assert came == pytest.approx(published, rel=0.006)
