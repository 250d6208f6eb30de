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
    from noisette.diffusion.process import Process

__all__ = ["NetworkDenoiser", "concat_inputs"]


class NetworkDenoiser(Denoiser):
    """A trained network, read by its objective.

    Args:
        network: called as `network(x, t, label)`; it should be in evaluation mode.
        objective: what the network was trained to say.
        process: tables of the process it was trained on.
        label: classes of the images, (N,) int64, or None.
        autocast: dtype that the network computes in, or None for that of its weights.
        low_res: further channels that the network is shown, (N, C', H, W), or None.
        self_condition: whether it is shown, before the hint, the x0 that it saw at the call before (zeros at the
            first), within [-1, 1]; such a denoiser serves one walk.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        process: Process,
        label: Tensor | None = None,
        autocast: torch.dtype | None = None,
        *,
        low_res: Tensor | None = None,
        self_condition: bool = False,
    ) -> None:
        self.network, self.objective, self.process = network, objective, process
        self.label, self.autocast = label, autocast
        self.low_res, self.self_condition = low_res, self_condition
        self._previous_x0: Tensor | None = None

    @torch.no_grad()
    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Call the network once; x_t and the prediction are in x_t's dtype, whatever the network computes in."""
        steps = torch.full((len(x_t),), t, dtype=torch.int64, device=x_t.device)
        with self._autocasting(x_t.device.type):
            output = self.network(self._network_input(x_t), steps, self.label)
        prediction = self.objective.parse_output(output.to(x_t.dtype), x_t, t, self.process)
        if self.self_condition:
            self._previous_x0 = prediction.x0.clamp(-1, 1)
        return prediction

    def _autocasting(self, device: str) -> AbstractContextManager[object]:
        return nullcontext() if self.autocast is None else torch.autocast(device, dtype=self.autocast)

    def _network_input(self, x_t: Tensor) -> Tensor:
        return concat_inputs(x_t, self._previous_x0, self.low_res, self_condition=self.self_condition)


def concat_inputs(
    x_t: Tensor, previous_x0: Tensor | None, low_res: Tensor | None, *, self_condition: bool
) -> Tensor:
    """Return what a network is shown: x_t, the x0 seen before (zeros if None) if it wants it, and the hint."""
    parts = [x_t]
    if self_condition:
        parts.append(torch.zeros_like(x_t) if previous_x0 is None else previous_x0)
    if low_res is not None:
        parts.append(low_res)
    return torch.cat(parts, dim=1) if len(parts) > 1 else x_t
