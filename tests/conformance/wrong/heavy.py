"""A plugin whose module imports torch: listing it takes a second."""

from __future__ import annotations

from typing import ClassVar

import torch

from noisette import Schedule


class ImportsTorch(Schedule):
    """Constant betas."""

    name: ClassVar[str] = "imports-torch"

    def betas(self, timesteps: int) -> torch.Tensor:
        return torch.full((timesteps,), min(0.5, 10 / timesteps), dtype=torch.float64)
