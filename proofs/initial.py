"""How weights are initialised, without random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

__all__ = ["fill_with_bounds"]


@contextmanager
def fill_with_bounds() -> Iterator[None]:
    """Let random draws be constants that tell the distribution: the upper bound, or minus the deviation."""

    def uniform(tensor: Tensor, low: float = 0.0, high: float = 1.0, **_: Any) -> Tensor:
        return tensor.fill_(high)

    def normal(tensor: Tensor, mean: float = 0.0, std: float = 1.0, **_: Any) -> Tensor:
        return tensor.fill_(-std)

    def randn(*size: Any, **_: Any) -> Tensor:
        return -torch.ones(*size)

    with ExitStack() as stack:
        stack.enter_context(patch.object(torch.Tensor, "uniform_", uniform))
        stack.enter_context(patch.object(torch.Tensor, "normal_", normal))
        stack.enter_context(patch("torch.randn", randn))
        yield
