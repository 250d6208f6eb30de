"""What the backbones refuse, with the reason; and what their options do."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from support.fixed_weights import fill_network, inputs
from torch import Tensor, nn

from noisette import Backbone, DataError
from noisette_plugins.backbones import ADM, ContextUNet, DiT, LabmlUNet, LinearAttentionUNet, ScratchUNet, UNet

SMALL = {"channels": 8, "multipliers": (1, 2), "blocks": 1, "groups": 4}

LINEAR = {"channels": 8, "multipliers": (1, 2)}


@pytest.mark.parametrize(
    ("backbone", "options", "message"),
    [
        (UNet, {"head_channels": 48}, "head_channels: expected a divisor of level 1's 256 channels; got 48"),
        (UNet, {"head_channels": 64, "heads": 2}, "head_channels: expected null beside heads = 2; got 64"),
        (UNet, {"time_channels": 1}, "time_channels"),
        (UNet, {"padding": "left"}, "padding"),
        (ADM, {"heads": 4}, "expected either heads or head_channels"),
        (ADM, {"head_channels": None}, "expected either heads or head_channels"),
        (ADM, {"head_channels": 100}, "head_channels: expected a divisor of level 1's 384 channels; got 100"),
        (ADM, {"head_channels": None, "heads": 5}, "heads: expected a divisor of level 1's 384 channels; got 5"),
        (ADM, {"groups": 5}, "groups: expected a divisor of level 0's 192 channels; got 5"),
        (ADM, {"multipliers": (0.001, 1), "attention": ()}, "groups: expected a divisor of level 0's 0 channels"),
        (ADM, {"attention": (4,)}, "attention: expected levels within 0 to 3; got 4"),
        (LinearAttentionUNet, {"full_attention": (4,)}, "full_attention: expected levels within 0 to 3; got 4"),
        (LinearAttentionUNet, {"time": "fourier"}, "'fixed', 'learned' or 'random'"),
        (ContextUNet, {"channels": 12}, "multiple of 8"),
        (LabmlUNet, {"attention": (4,)}, "attention: expected levels within 0 to 3; got 4"),
        (ScratchUNet, {"groups": 48}, "groups: expected a divisor of channels = 64"),
        (ScratchUNet, {"attention": (7,)}, "attention: expected layers within 1 to 6; got 7"),
        (ScratchUNet, {"heads": 5}, "heads: expected a divisor of layer 2's 128 channels; got 5"),
        (DiT, {"heads": 7}, "heads: expected a divisor of width = 384; got 7"),
        (DiT, {"width": 6, "heads": 1}, "width: expected a multiple of 4"),
        (DiT, {"expansion": 0.001}, "expansion: expected at least 1 / width"),
    ],
)
def test_impossible_options_are_refused(backbone: type[Backbone], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        backbone.model_validate(options)


@pytest.mark.parametrize(
    ("backbone", "shape", "message"),
    [
        (UNet(), (3, 7, 32), "backbone unet: 4 levels need at least 8x8 pixels; got 7x32"),
        (LinearAttentionUNet(), (1, 28, 28), "sides that are multiples of 8; got 28x28: set preparation.size"),
        (DiT(patch=4), (1, 30, 32), "patches of 4 need sides that are multiples of 4; got 30x32"),
    ],
)
def test_impossible_images_are_refused(backbone: Backbone, shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        backbone.build(shape, 0, 1)


@pytest.mark.parametrize(
    "backbone", [UNet(**SMALL, padding="around"), ADM(**SMALL, attention=(1,), head_channels=4)]
)
@pytest.mark.parametrize("size", [(1, 1), (3, 1), (5, 7)])
def test_padded_all_round_any_size_works(backbone: Backbone, size: tuple[int, int]) -> None:
    network = backbone.build((1, *size), 0, 2)
    assert network(torch.randn(2, 1, *size), torch.tensor([0, 9])).shape == (2, 2, *size)


def said(backbone: Backbone, shape: tuple[int, int, int]) -> Tensor:
    x, t, _ = inputs(shape)
    with torch.no_grad():
        output: Tensor = fill_network(backbone.build(shape, 0, shape[0]))(x, t)
    return output


@pytest.mark.parametrize(
    ("plain", "other"),
    [
        (UNet(**SMALL), UNet(**SMALL, epsilon=0.1)),
        (UNet(**SMALL), UNet(**SMALL, head_channels=4)),
        (UNet(**SMALL), UNet(**SMALL, time_shift=0)),
        (UNet(**SMALL), UNet(**SMALL, padding="around")),
        (LinearAttentionUNet(**LINEAR), LinearAttentionUNet(**LINEAR, theta=9)),
    ],
    ids=["epsilon", "head_channels", "time_shift", "padding", "theta"],
)  # fmt: skip
def test_an_option_without_weights_changes_what_is_said(plain: Backbone, other: Backbone) -> None:
    first, second = said(plain, (1, 8, 8)), said(other, (1, 8, 8))
    assert (first - second).abs().max() > 1e-4


def test_a_first_multiplier_may_be_more_than_one() -> None:
    network = UNet(channels=8, multipliers=(2, 4), blocks=1, groups=4).build((1, 8, 8), 0, 1)
    assert network.enter.out_channels == 16
    assert network(torch.randn(1, 1, 8, 8), torch.tensor([3])).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("attention", [(), (2, 6)], ids=["blocks", "attention"])
def test_the_scratch_networks_dropout_ends_with_training(attention: tuple[int, ...]) -> None:
    """The tutorial's own code drops attention while it samples as well."""
    network = ScratchUNet(channels=8, groups=4, heads=2, dropout=0.5, attention=attention).build((1, 8, 8), 0, 1)
    if attention:
        silence_blocks(network)
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([5, 900])
    assert not torch.equal(network(x, t), network(x, t))
    network.eval()
    assert torch.equal(network(x, t), network(x, t))


def silence_blocks(network: nn.Module) -> None:
    """Leave dropout in the attention alone."""
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0


def test_a_transformer_starts_as_nothing_and_knows_places() -> None:
    network = DiT(width=16, depth=2, heads=2).build((1, 4, 8), 0, 1)
    x, t = torch.randn(2, 1, 4, 8), torch.tensor([5, 900])
    assert torch.equal(network(x, t), torch.zeros(2, 1, 4, 8))
    assert network.pos_embed.unique(dim=0).shape == (8, 16)
    assert "places" not in network.state_dict()
    network = fill_network(network)
    with torch.no_grad():
        flat = network(torch.ones(1, 1, 4, 8), torch.tensor([5]))
    patches = flat.unfold(2, 2, 2).unfold(3, 2, 2).reshape(8, 4)
    assert patches.unique(dim=0).shape == (8, 4)  # alike patches, told apart by their places


def test_attention_at_every_level_of_adm() -> None:
    everywhere = ADM(**SMALL, attention=(0, 1), head_channels=4).build((1, 8, 8), 0, 1)
    nowhere = ADM(**SMALL, attention=(), head_channels=4).build((1, 8, 8), 0, 1)
    count = [sum(type(layer).__name__ == "Attention" for layer in net.modules()) for net in (everywhere, nowhere)]
    assert count == [2 * (1 + 2) + 1, 1]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    "backbone",
    [
        UNet(channels=32, multipliers=(1, 2), blocks=1, groups=8),
        ADM(channels=32, multipliers=(1, 2), blocks=1, attention=(1,), groups=8, head_channels=16),
        LinearAttentionUNet(channels=32, multipliers=(1, 2)),
        ScratchUNet(channels=16, groups=8),
        DiT(width=64, depth=2, heads=4),
    ],
    ids=lambda backbone: backbone.name,
)
def test_gradients_in_bf16_and_channels_last_agree_with_float32(
    backbone: Backbone, layout: torch.memory_format
) -> None:
    """Within 5 % of the gradient's length; bf16 keeps 8 bits, 0.4 % an operation."""
    torch.manual_seed(0)
    x, t = torch.randn(3, 3, 16, 16), torch.tensor([0, 17, 999])
    exact = backbone.build((3, 16, 16), 0, 3).eval()
    with torch.no_grad():
        for parameter in exact.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))  # layers that start at zero hear too
    rounded = copy.deepcopy(exact).to(memory_format=layout)
    goal = x.roll(1, dims=-1)
    (exact(x, t) - goal).square().mean().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = rounded(x.contiguous(memory_format=layout), t)
    (output.float() - goal).square().mean().backward()
    true, came = (torch.cat([p.grad.flatten() for p in net.parameters()]) for net in (exact, rounded))
    assert (came - true).norm() < 0.05 * true.norm()
