"""The denoiser that a trained network is, and what such a network is shown."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from noisette.diffusion.denoiser import Denoiser

if TYPE_CHECKING:
    from noisette.contracts import Objective
    from noisette.diffusion.prediction import Prediction
    from noisette.diffusion.process import Tables

__all__ = ["NetworkDenoiser", "shown"]


class NetworkDenoiser(Denoiser):
    """A trained network, read by its objective.

    Args:
        network: called as `network(x, t, label)`; it should be in evaluation mode.
        objective: what the network was trained to say.
        schedule: tables of the process it was trained on.
        label: classes of the pictures, (N,) int64, or None.
        autocast: dtype that the network computes in, or None for that of its weights.
        hint: further channels that the network is shown, (N, C', H, W), or None.
        self_condition: whether it is shown, before the hint, the x0 that it saw at the call before (zeros at the
            first), within [-1, 1]; such a denoiser serves one walk.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        schedule: Tables,
        label: Tensor | None = None,
        autocast: torch.dtype | None = None,
        *,
        hint: Tensor | None = None,
        self_condition: bool = False,
    ) -> None:
        self.network, self.objective, self.schedule = network, objective, schedule
        self.label, self.autocast = label, autocast
        self.hint, self.self_condition = hint, self_condition
        self._seen: Tensor | None = None

    @torch.no_grad()
    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Call the network once; x_t and the prediction are in x_t's dtype, whatever the network computes in."""
        steps = torch.full((len(x_t),), t, dtype=torch.int64, device=x_t.device)
        with self._autocasting(x_t.device.type):
            output = self.network(self._shown(x_t), steps, self.label)
        prediction = self.objective.read(output.to(x_t.dtype), x_t, t, self.schedule)
        if self.self_condition:
            self._seen = prediction.x0.clamp(-1, 1)
        return prediction

    def _autocasting(self, device: str) -> AbstractContextManager[object]:
        return nullcontext() if self.autocast is None else torch.autocast(device, dtype=self.autocast)

    def _shown(self, x_t: Tensor) -> Tensor:
        return shown(x_t, self._seen, self.hint, self_condition=self.self_condition)


def shown(x_t: Tensor, seen: Tensor | None, hint: Tensor | None, *, self_condition: bool) -> Tensor:
    """Return what a network is shown: x_t, the x0 seen before (zeros if None) if it wants it, and the hint."""
    parts = [x_t]
    if self_condition:
        parts.append(torch.zeros_like(x_t) if seen is None else seen)
    if hint is not None:
        parts.append(hint)
    return torch.cat(parts, dim=1) if len(parts) > 1 else x_t
