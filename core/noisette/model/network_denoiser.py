"""Calling a network: its input channels, its precision, and the denoiser that samplers see."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from noisette.diffusion.denoiser import Denoiser

if TYPE_CHECKING:
    from noisette.contracts import Objective
    from noisette.diffusion.prediction import Prediction
    from noisette.diffusion.process import Process

__all__ = ["NetworkCall", "NetworkDenoiser"]


@dataclass(frozen=True)
class NetworkCall:
    """Calls a network on x_t and its conditioning, in training and in sampling.

    Attributes:
        network: called as `network(x, t, label)`.
        objective: the objective that the network was trained with.
        process: the process that it was trained on.
        self_condition: whether x0 of an earlier call is part of the input (Chen et al. 2023, Analog Bits).
        autocast: dtype that the network computes in; None for the dtype of its weights.
        channels_last: whether the input is converted to the channels-last memory format.
    """

    network: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    objective: Objective
    process: Process
    self_condition: bool = False
    autocast: torch.dtype | None = None
    channels_last: bool = False

    def __call__(
        self, x_t: Tensor, t: Tensor, label: Tensor | None, low_res: Tensor | None, previous_x0: Tensor | None
    ) -> Tensor:
        """Return the network's output, (N, outputs * C, H, W), in the dtype of x_t.

        Args:
            x_t: noisy images, (N, C, H, W).
            t: their timesteps, (N,) int64.
            label: their classes, (N,) int64, or None.
            low_res: low-resolution images enlarged to full size, (N, C, H, W), or None.
            previous_x0: x0 of an earlier call; None for zeros. Ignored without self-conditioning.
        """
        channels = [x_t]
        if self.self_condition:
            channels.append(torch.zeros_like(x_t) if previous_x0 is None else previous_x0)
        if low_res is not None:
            channels.append(low_res)
        x = torch.cat(channels, dim=1) if len(channels) > 1 else x_t
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        with self._autocast(x_t.device.type):
            output = self.network(x, t, label)
        return output.to(x_t.dtype)

    @torch.no_grad()
    def estimate_x0(self, x_t: Tensor, t: Tensor, label: Tensor | None, low_res: Tensor | None) -> Tensor:
        """Return the x0 that the network predicts without self-conditioning, within [-1, 1]."""
        output = self(x_t, t, label, low_res, None)
        return self.objective.parse_output(output, x_t, t, self.process).x0.clamp(-1, 1)

    def _autocast(self, device: str) -> AbstractContextManager[object]:
        return nullcontext() if self.autocast is None else torch.autocast(device, dtype=self.autocast)


class NetworkDenoiser(Denoiser):
    """A trained network as a denoiser; with self-conditioning, it serves a single trajectory.

    Args:
        network: called as `network(x, t, label)`, in evaluation mode.
        objective: the objective that the network was trained with.
        process: the process that it was trained on.
        label: classes of the images, (N,) int64, or None.
        autocast: dtype that the network computes in; None for the dtype of its weights.
        low_res: low-resolution images enlarged to full size, (N, C, H, W), or None.
        self_condition: whether the x0 of the previous call, within [-1, 1], is part of the input; zeros at first.
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
        self.process, self.label, self.low_res = process, label, low_res
        self._call = NetworkCall(network, objective, process, self_condition, autocast)
        self._previous_x0: Tensor | None = None

    @torch.no_grad()
    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the prediction at timestep t, in the dtype of x_t; calls the network once."""
        timesteps = torch.full((len(x_t),), t, dtype=torch.int64, device=x_t.device)
        output = self._call(x_t, timesteps, self.label, self.low_res, self._previous_x0)
        pred = self._call.objective.parse_output(output, x_t, t, self.process)
        if self._call.self_condition:
            self._previous_x0 = pred.x0.clamp(-1, 1)
        return pred
