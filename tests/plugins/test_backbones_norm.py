from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from noisette_plugins.backbones.norm import GroupNormSiLU, _NormSiLU


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
