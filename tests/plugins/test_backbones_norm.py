from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from noisette_plugins.backbones.norm import GroupNormSiLU, _normalised, _NormSiLU


@pytest.mark.parametrize("shape", [(3, 8, 5, 4), (1, 4, 2, 1), (2, 12, 7, 3)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_gradient_is_the_formulas(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = (3 * torch.randn(shape) + 1).contiguous(memory_format=layout).requires_grad_()
    weight, bias = torch.randn(shape[1]).requires_grad_(), torch.randn(shape[1]).requires_grad_()
    grad = torch.randn(shape)
    own = torch.autograd.grad(_NormSiLU.apply(x, weight, bias, 4, 1e-5), (x, weight, bias), grad)
    exact = [tensor.detach().double().requires_grad_() for tensor in (x, weight, bias)]
    reference = F.silu(F.group_norm(exact[0], 4, exact[1], exact[2], 1e-5))
    for ours, true in zip(own, torch.autograd.grad(reference, exact, grad.double()), strict=True):
        assert torch.allclose(ours.double(), true, atol=2e-4, rtol=1e-3)


def test_in_bf16_it_stays_within_bf16s_rounding() -> None:
    torch.manual_seed(0)
    norm = GroupNormSiLU(4, 16)
    x = torch.randn(8, 16, 8, 8)
    exact = x.clone().requires_grad_()
    rounded = x.bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_()
    grad = torch.randn_like(x)
    norm(exact).backward(grad)
    norm(rounded).backward(grad.bfloat16())
    assert exact.grad is not None
    assert rounded.grad is not None
    error = (rounded.grad.float() - exact.grad).abs().max() / exact.grad.abs().max()
    assert float(error) < 0.02  # bf16 keeps 8 bits; a wrong term is of order 1


def test_without_gradients_it_is_the_librarys() -> None:
    norm, x = GroupNormSiLU(2, 4), torch.randn(2, 4, 3, 3)
    assert torch.equal(norm(x), F.silu(F.group_norm(x, 2, norm.weight, norm.bias, norm.eps)))


@pytest.mark.parametrize("shape", [(2, 16, 8, 8), (2, 64, 5, 7)])
@pytest.mark.parametrize("mean", [0.0, 300.0])
def test_the_sums_that_go_round_the_librarys_trap_are_right(shape: tuple[int, ...], mean: float) -> None:
    """In bf16 with channels last and groups of less than 16 channels; also where the mean hides the deviation."""
    x = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) + mean).bfloat16()
    given = x.clone()
    y, average, rstd = _normalised(
        x.contiguous(memory_format=torch.channels_last), torch.ones(shape[1]), torch.zeros(shape[1]), 8, 1e-5
    )
    exact = F.group_norm(x.double(), 8)
    groups = x.double().view(shape[0], 8, -1)
    assert (y.double() - exact).norm() < 0.003 * exact.norm()
    torch.testing.assert_close(average.double(), groups.mean(-1), rtol=1e-5, atol=1e-6)
    deviation = (groups.var(-1, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(rstd.double(), 1 / deviation, rtol=1e-4, atol=0)
    assert torch.equal(x, given)


def test_the_way_round_is_taken_only_where_the_trap_is(monkeypatch: pytest.MonkeyPatch) -> None:
    library = torch.native_group_norm
    called: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        torch, "native_group_norm", lambda x, *rest: called.append(tuple(x.shape)) or library(x, *rest)
    )
    for shape, groups in (((1, 32, 8, 8), 8), ((1, 32, 8, 8), 2), ((1, 32, 32, 32), 8)):
        x = torch.randn(shape).bfloat16().contiguous(memory_format=torch.channels_last)
        _normalised(x, torch.ones(32), torch.zeros(32), groups, 1e-5)
    assert called == [(1, 32, 8, 8), (1, 32, 32, 32)]
