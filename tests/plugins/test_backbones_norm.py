from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from noisette_plugins.backbones import norm as module
from noisette_plugins.backbones.norm import (
    GroupNorm,
    GroupNormSiLU,
    _group_norm_by_library,
    _group_norm_by_sums,
    _GroupNormBySums,
)

LAST = torch.channels_last


@pytest.mark.parametrize("shape", [(3, 8, 5, 4), (1, 4, 2, 1), (2, 12, 33, 32)])
@pytest.mark.parametrize("layout", [LAST, torch.contiguous_format])
def test_the_gradient_is_the_formulas(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = (3 * torch.randn(shape) + 1).contiguous(memory_format=layout).requires_grad_()
    weight, bias = torch.randn(shape[1]).requires_grad_(), torch.randn(shape[1]).requires_grad_()
    grad = torch.randn(shape)
    own = torch.autograd.grad(_GroupNormBySums.apply(x, weight, bias, 4, 1e-5), (x, weight, bias), grad)
    exact = [tensor.detach().double().requires_grad_() for tensor in (x, weight, bias)]
    reference = F.group_norm(exact[0], 4, exact[1], exact[2], 1e-5)
    for ours, true in zip(own, torch.autograd.grad(reference, exact, grad.double()), strict=True):
        assert torch.allclose(ours.double(), true, atol=5e-4, rtol=1e-3)


@pytest.mark.parametrize("groups", [1, 2, 8], ids=["wide", "just-wide", "narrow"])
@pytest.mark.parametrize("size", [(5, 4), (32, 33)], ids=["small", "large"])
@pytest.mark.parametrize("kind", [GroupNorm, GroupNormSiLU])
@pytest.mark.parametrize("steered", [False, True])
def test_outputs_and_gradients_against_float64(
    kind: type[GroupNorm], groups: int, size: tuple[int, int], steered: bool
) -> None:
    """In float32, and in bf16, which keeps 8 bits; a wrong term is of order 1."""
    torch.manual_seed(0)
    norm = kind(groups, 32)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    parts = [torch.randn(3, 32, *size), *(torch.randn(3, 32) for _ in range(2 * steered))]
    parts, grad = [part.bfloat16() for part in parts], torch.randn(3, 32, *size).bfloat16()
    truth = formula(norm, [part.double().requires_grad_() for part in parts], grad.double())
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 0.02)):
        inputs = [part.to(dtype).requires_grad_() for part in parts]
        came = norm(inputs[0].contiguous(memory_format=LAST), *inputs[1:])
        assert came.dtype == dtype
        gradients = torch.autograd.grad(came, [*inputs, norm.weight, norm.bias], grad.to(dtype))
        for ours, true in zip([came, *gradients], truth, strict=True):
            assert (ours - true).norm() < tolerance * true.norm()


def formula(norm: GroupNorm, inputs: list[Tensor], grad: Tensor) -> list[Tensor]:
    """Return the output, and the gradients of inputs, weight and bias."""
    weight, bias = (part.detach().double().requires_grad_() for part in (norm.weight, norm.bias))
    out = F.group_norm(inputs[0], norm.num_groups, weight, bias, norm.eps)
    if len(inputs) > 1:
        out = out * (1 + inputs[1][:, :, None, None]) + inputs[2][:, :, None, None]
    out = F.silu(out) if isinstance(norm, GroupNormSiLU) else out
    return [out, *torch.autograd.grad(out, [*inputs, weight, bias], grad)]


@pytest.mark.parametrize("shape", [(2, 16, 8, 8), (2, 64, 5, 7)])
@pytest.mark.parametrize("mean", [0.0, 300.0])
def test_the_sums_are_right_where_the_mean_hides_the_deviation(shape: tuple[int, ...], mean: float) -> None:
    x = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) + mean).bfloat16()
    x, given = x.contiguous(memory_format=LAST), x.clone()
    plain = torch.ones(shape[1]), torch.zeros(shape[1])
    y, average, rstd = _group_norm_by_sums(x, *plain, 8, 1e-5)
    exact, groups = F.group_norm(x.double(), 8), x.double().reshape(shape[0], 8, -1)
    assert (y.double() - exact).norm() < 0.003 * exact.norm()
    torch.testing.assert_close(average.double(), groups.mean(-1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(rstd.double(), (groups.var(-1, correction=0) + 1e-5).rsqrt(), rtol=1e-4, atol=0)
    assert torch.equal(x, given)
    for ours, theirs in zip((average, rstd), _group_norm_by_library(x, *plain, 8, 1e-5)[1:], strict=True):
        torch.testing.assert_close(ours, theirs.float(), rtol=0.01, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "groups", "dtype", "layout", "expected"),
    [
        ((1, 32, 8, 8), 8, torch.bfloat16, LAST, ["sums"]),
        ((1, 32, 32, 32), 8, torch.bfloat16, LAST, ["library"]),
        ((1, 32, 8, 8), 2, torch.bfloat16, LAST, []),
        ((1, 32, 8, 8), 8, torch.bfloat16, torch.contiguous_format, []),
        ((1, 32, 8, 8), 8, torch.float32, LAST, []),
    ],
    ids=["narrow", "narrow-large", "wide", "channels-first", "float32"],
)
def test_the_librarys_own_is_left_only_where_it_is_slow(
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, ...],
    groups: int,
    dtype: torch.dtype,
    layout: torch.memory_format,
    expected: list[str],
) -> None:
    called: list[str] = []
    for name in ("sums", "library"):
        way = getattr(module, f"_group_norm_by_{name}")
        monkeypatch.setattr(module, f"_group_norm_by_{name}", lambda *a, n=name, f=way: called.append(n) or f(*a))
    x = torch.randn(shape).to(dtype).contiguous(memory_format=layout)
    norm = GroupNorm(groups, shape[1])
    torch.testing.assert_close(norm(x), F.group_norm(x, groups), atol=0.05, rtol=0.02)
    assert called == expected
