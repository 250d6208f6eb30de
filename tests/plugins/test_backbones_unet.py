from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from noisette import DataError
from noisette_plugins.backbones import UNet

SMALL = {"channels": 8, "multipliers": (1, 2), "blocks": 1, "groups": 4}


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_papers_network_has_the_papers_size() -> None:
    # Ho et al. 2020, appendix B: 35.7 million; google/ddpm-cifar10-32 counts 35,746,307.
    assert parameters(UNet().build((3, 32, 32), 0, 3)) == 35_746_307


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 9), (4, 5, 2), (1, 13, 6)])
def test_odd_and_oblong_images_keep_their_size(shape: tuple[int, int, int]) -> None:
    network = UNet(**SMALL).build(shape, 0, 2 * shape[0])
    out = network(torch.randn(3, *shape), torch.tensor([0, 5, 999]))
    assert out.shape == (3, 2 * shape[0], *shape[1:])


def test_images_too_small_for_the_levels_are_refused() -> None:
    with pytest.raises(DataError, match="at least 4x4 pixels; got 3x8"):
        UNet(channels=8, multipliers=(1, 2, 2), groups=4).build((1, 3, 8), 0, 1)


def test_it_starts_as_zero_and_every_parameter_can_learn() -> None:
    torch.manual_seed(0)
    network = UNet(**SMALL, attention=(0, 1)).build((1, 8, 8), 3, 1)
    x, t, label = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 2, 3])
    assert torch.equal(network(x, t, label), torch.zeros(4, 1, 8, 8))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    network(x, t, label).square().sum().backward()
    silent = [name for name, parameter in network.named_parameters() if not parameter.grad.abs().sum()]
    assert silent == []


def test_the_label_none_is_the_last_one() -> None:
    torch.manual_seed(0)
    network = UNet(**SMALL).build((1, 8, 8), 3, 1).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([4, 4])
    unlabelled = network(x, t)
    assert torch.equal(unlabelled, network(x, t, torch.tensor([3, 3])))
    assert not torch.equal(unlabelled, network(x, t, torch.tensor([0, 0])))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 30, "groups": 4}, "groups: expected a divisor of channels = 30; got 4"),
        ({"channels": 32, "heads": 3}, "heads: expected a divisor"),
        ({"attention": (4,)}, "attention: expected levels within 0 to 3; got 4"),
        ({"multipliers": ()}, "multipliers"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        UNet.model_validate(options)
