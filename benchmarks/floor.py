"""The floor: the convolutions and matrix products of noisette's own step, with nothing between them.

A recorder notes every product of a step with its shapes, precision and memory format. They are then computed again
on random numbers, forward and backward. With torch's kernels, no network with these layers is faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

__all__ = ["products_of"]

_ATEN = torch.ops.aten
_PRODUCTS = (_ATEN.convolution, _ATEN.convolution_backward, _ATEN.mm, _ATEN.addmm, _ATEN.bmm, _ATEN.baddbmm)


def products_of(step: Callable[[], object]) -> Callable[[], None]:
    """Return a function that computes the products of a step, and nothing else."""
    with _Recorder() as recorder:
        step()
    calls = recorder.calls

    @torch.no_grad()
    def floor() -> None:
        for function, arguments in calls:
            function(*arguments)

    return floor


class _Recorder(TorchDispatchMode):
    """Notes products, with random numbers in place of theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Sequence[Any]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket in _PRODUCTS and not _adds_up(func, args):
            self.calls.append((func, tree_map(self._twin, args)))
        return func(*args, **(kwargs or {}))

    def _twin(self, value: Any) -> Any:
        """Return random numbers of the same shape, precision and memory format; each place has its own."""
        if not isinstance(value, Tensor):
            return value
        twin = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=value.device)
        return twin.copy_(torch.randn(value.shape, device=value.device) * 0.05)


def _adds_up(func: Any, args: Sequence[Any]) -> bool:
    """Whether a product only adds up the rows of a matrix, which is no work of the network's layers."""
    return func.overloadpacket is _ATEN.bmm and args[0].shape[1] == 1 and args[0].stride(0) == 0
