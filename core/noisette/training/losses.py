"""The losses since the last line of the journal. They stay on the device until they are read."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Losses"]

_QUARTERS = 4


class Losses:
    """Mean losses of batches, and of pictures by the quarter of the process that their step lies in.

    Args:
        timesteps: T.
        device: where the losses are.
    """

    def __init__(self, timesteps: int, device: torch.device) -> None:
        self._timesteps, self._device = timesteps, device
        self._forget()

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, batch: Tensor, t: Tensor, pictures: Tensor) -> None:
        """Add a batch: its mean loss, and the loss (N,) of each picture at its step (N,), before any weight."""
        self._batches.append(batch)
        quarter = t * _QUARTERS // self._timesteps
        self._sums.index_add_(0, quarter, pictures.detach().float())
        self._counts.index_add_(0, quarter, torch.ones_like(pictures, dtype=torch.float32))

    def take(self) -> dict[str, float]:
        """Return `loss`, and `loss_q0` (little noise) to `loss_q3` of quarters that were seen; then forget all."""
        means = {"loss": float(torch.stack(self._batches).mean())}
        sums, counts = self._sums.tolist(), self._counts.tolist()
        means |= {f"loss_q{q}": sums[q] / counts[q] for q in range(_QUARTERS) if counts[q]}
        self._forget()
        return means

    def _forget(self) -> None:
        self._batches: list[Tensor] = []
        self._sums, self._counts = torch.zeros(2, _QUARTERS, device=self._device)
