from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from noisette_plugins.backbones import Small
from noisette_plugins.backbones import norm as normalisation
from noisette_plugins.backbones.layers import Attention


def test_it_has_the_size_it_says() -> None:
    with torch.device("meta"):
        network = Small().build((1, 32, 32), 0, 1)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert round(count / 1e6, 1) == 1.5
    assert "1.5 million" in (Small.__doc__ or "")


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (2, 30), (28, 28)])
def test_any_size_works_and_it_starts_as_zero(size: tuple[int, int]) -> None:
    network = Small().build((2, *size), 0, 3)
    out = network(torch.randn(2, 2, *size), torch.tensor([0, 999]))
    assert torch.equal(out, torch.zeros(2, 3, *size))


def test_attention_is_at_the_lowest_level_unless_said() -> None:
    def count(**options: Any) -> int:
        network = Small(**options).build((1, 8, 8), 0, 1)
        return sum(isinstance(layer, Attention) for layer in network.modules())

    assert count() == 2  # two blocks, at the lowest level
    assert count(attention=()) == 0
    assert count(attention=(1, 2)) == 2 + 2 * 2  # level 1 on both ways


@pytest.mark.parametrize("grad", [True, False])
def test_its_groups_are_wide_enough_for_the_librarys_fast_normalisation(
    monkeypatch: pytest.MonkeyPatch, grad: bool
) -> None:
    called: list[int] = []
    apply = normalisation._GroupNormBySums.apply
    monkeypatch.setattr(normalisation._GroupNormBySums, "apply", lambda *a: called.append(1) or apply(*a))
    for options, narrow in (({}, False), ({"group_channels": 4}, True)):
        called.clear()
        network = Small(**options).build((1, 16, 16), 0, 1).to(memory_format=torch.channels_last)
        x = torch.randn(2, 1, 16, 16).contiguous(memory_format=torch.channels_last)
        with torch.set_grad_enabled(grad), torch.autocast("cpu", dtype=torch.bfloat16):
            network(x, torch.tensor([0, 5]))
        assert bool(called) == narrow


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": (1, 2)}, "blocks: expected 3 numbers, one for each of multipliers; got 2"),
        ({"multipliers": (1, 2)}, "blocks: expected 2 numbers"),
        ({"attention": (3,)}, "attention: expected levels within 0 to 2; got 3"),
        ({"channels": 24}, "group_channels: expected a divisor of channels = 24; got 16"),
        ({"head_channels": 48}, "head_channels: expected a divisor of level 2's 128 channels; got 48"),
        ({"blocks": (1, 2, 0)}, "greater than 0"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Small.model_validate(options)
