"""Blocks that several backbones share."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from noisette_plugins.backbones import layers
from noisette_plugins.backbones.layers import (
    Attention,
    Downsample,
    Embedding,
    LearnedSinusoidalEmbedding,
    ResidualBlock,
    SinusoidalEmbedding,
    Upsample,
    attend,
    attend_without_kernel,
    downsample_mean,
    merge_heads,
    split_heads,
)
from noisette_plugins.backbones.linear_attention_network import FullAttention, LinearAttention


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_hand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return attention position by position, in float64."""
    mixed = torch.zeros(*q.shape[:3], v.shape[3], dtype=torch.float64)
    for n, h, i in torch.cartesian_prod(*(torch.arange(size) for size in q.shape[:3])).tolist():
        likeness = (k[n, h].double() @ q[n, h, i].double()) / math.sqrt(q.shape[3])
        weights = likeness.exp() / likeness.exp().sum()
        mixed[n, h, i] = weights @ v[n, h].double()
    return mixed


@pytest.mark.parametrize("way", [attend, attend_without_kernel])
def test_attention_is_the_formula(way: object) -> None:
    q, k, v = random(2, 3, 5, 4), random(2, 3, 7, 4, seed=1), random(2, 3, 7, 4, seed=2)
    torch.testing.assert_close(way(q, k, v).double(), by_hand(q, k, v), atol=1e-6, rtol=1e-5)  # type: ignore[operator]


def test_in_bf16_on_a_cpu_it_is_written_out_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(layers, "attend_without_kernel", lambda q, k, v, dropout: called.append("written out") or v)
    monkeypatch.setattr(
        layers.F, "scaled_dot_product_attention", lambda q, k, v, dropout_p: called.append("library") or v
    )
    small, large = torch.zeros(1, 1, 1024, 2), torch.zeros(1, 1, 1025, 2)
    for tensor in (small.bfloat16(), large.bfloat16(), small, small.to("meta").bfloat16()):
        attend(tensor, tensor, tensor)
    assert called == ["written out", "library", "library", "library"]


def test_both_ways_agree_in_bf16() -> None:
    q, k, v = (random(2, 2, 9, 8, seed=seed).bfloat16() for seed in range(3))
    exact = by_hand(q, k, v)
    assert (attend(q, k, v).double() - exact).abs().max() < 0.02
    assert (torch.nn.functional.scaled_dot_product_attention(q, k, v).double() - exact).abs().max() < 0.02


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_heads_are_split_and_joined_without_loss(layout: torch.memory_format) -> None:
    x = random(2, 3 * 8, 4, 5).contiguous(memory_format=layout)
    for third, part in zip(split_heads(x, 2), x.chunk(3, dim=1), strict=True):
        assert third.shape == (2, 2, 20, 4)
        assert third.stride(-1) == 1
        assert torch.equal(merge_heads(third, part), part)


def test_attention_mixes_positions_only_where_they_are_alike() -> None:
    """With q = k = v and one channel far from the others, a position sees itself alone: x + x."""
    layer = Attention(4, 1, 1)
    with torch.no_grad():
        layer.qkv.weight.copy_(torch.eye(4).repeat(3, 1)[:, :, None, None])
        layer.qkv.weight[:8] *= 100
        layer.qkv.bias.zero_()
        layer.project.weight.copy_(torch.eye(4)[:, :, None, None])
    x = torch.eye(4).view(1, 4, 2, 2)
    torch.testing.assert_close(layer(x), x + layer.norm(x))


def test_linear_attention_is_its_formula() -> None:
    layer = LinearAttention(6, 2, 3, 4)
    x = random(2, 6, 3, 4)
    with torch.no_grad():
        q, k, v = (part.double() for part in layer._split(x))
        weights = q.softmax(-1) / math.sqrt(3) @ k.softmax(-2).transpose(-1, -2)  # all pairs, written out
        expected = x + layer.leave(layer.project(merge_heads((weights @ v).float(), x)))
        torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)
    assert k.shape == (2, 2, 4 + 12, 3)  # the memory's positions, then the image's


def test_flash_is_full_attention_by_another_kernel() -> None:
    torch.manual_seed(0)
    fused = FullAttention(6, 2, 3, 4, flash=True)
    plain = FullAttention(6, 2, 3, 4, flash=False)
    plain.load_state_dict(fused.state_dict())
    assert plain.attend is attend_without_kernel
    x = random(2, 6, 3, 4)
    torch.testing.assert_close(fused(x), plain(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("shift", "slowest"), [(1, 1e-4), (0, 10_000 ** (-3 / 4))])
def test_waves_go_from_one_to_the_slowest_rate(shift: int, slowest: float) -> None:
    waves = SinusoidalEmbedding(4, shift=shift)(torch.tensor([0, 1, 999]))
    assert torch.equal(waves[0], torch.tensor([0.0] * 4 + [1.0] * 4))
    assert waves[1, 0].item() == pytest.approx(math.sin(1), rel=1e-6)
    assert waves[1, 3].item() == pytest.approx(math.sin(slowest), rel=1e-5)
    assert waves[2, 7].item() == pytest.approx(math.cos(999 * slowest), rel=1e-5)
    swapped = SinusoidalEmbedding(4, shift=shift, cosine_first=True)(torch.tensor([0, 1, 999]))
    assert torch.equal(swapped.roll(4, dims=1), waves)


def test_learned_rates_learn_and_random_ones_do_not() -> None:
    learned, fixed = LearnedSinusoidalEmbedding(3, learned=True), LearnedSinusoidalEmbedding(3, learned=False)
    assert learned.rates.requires_grad
    assert not list(fixed.parameters())
    assert "rates" in fixed.state_dict()
    t = torch.tensor([0, 7])
    expected = torch.cat([t[:, None], torch.sin(2 * math.pi * t[:, None] * fixed.rates)], dim=1)
    torch.testing.assert_close(fixed(t)[:, :4], expected.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "waves", [SinusoidalEmbedding(16), LearnedSinusoidalEmbedding(8, learned=True)], ids=["fixed", "learned"]
)
def test_neighbouring_steps_stay_apart_under_bf16(waves: SinusoidalEmbedding | LearnedSinusoidalEmbedding) -> None:
    embedding = Embedding(waves, 32, 0)
    t = torch.tensor([998, 999])
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        under = embedding(t, None)
    with torch.no_grad():
        assert torch.equal(under, embedding(t, None))
    assert under.dtype == torch.float32
    assert torch.tensor([998.0, 999.0]).bfloat16().unique().numel() == 1  # the control: bf16 cannot tell them apart


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (2, 1)])
def test_all_round_rounds_up_and_the_papers_padding_down(size: tuple[int, int]) -> None:
    x = random(1, 2, *size)
    assert Downsample(2, 3, symmetric_padding=True)(x).shape[2:] == tuple(-(-side // 2) for side in size)
    assert downsample_mean(x).shape[2:] == tuple(-(-side // 2) for side in size)
    if min(size) > 1:
        assert Downsample(2, 3)(x).shape[2:] == tuple(side // 2 for side in size)
    assert Upsample(2)(downsample_mean(x), size).shape == x.shape


def test_halved_takes_means_of_what_is_there() -> None:
    x = torch.arange(9.0).view(1, 1, 3, 3)
    assert downsample_mean(x).flatten().tolist() == [2.0, 3.5, 6.5, 8.0]


@pytest.mark.parametrize("scale_shift", [False, True])
def test_a_residual_block_starts_as_its_skip_and_hears_the_embedding(scale_shift: bool) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(4, 4, 6, 2, 0.0, scale_shift=scale_shift)
    x, embedding = random(2, 4, 5, 5), random(2, 6)
    assert torch.equal(block(x, embedding), x)
    assert torch.equal(block(x, embedding, downsample_mean), downsample_mean(x))
    torch.nn.init.normal_(block.conv2.weight)
    assert not torch.allclose(block(x, embedding), block(x, -embedding))
