"""The network that `context-unet` builds."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisette import Shape

__all__ = ["ContextNetwork"]


class ContextNetwork(nn.Module):
    """Two levels down to a vector and up again.

    Called as `network(x, t, label=None)`: x (N, C, H, W), t (N,) int64, label (N,) int64 where it has classes.
    """

    def __init__(self, channels: int, timesteps: int, shape: Shape, classes: int, outputs: int) -> None:
        super().__init__()
        self.timesteps, self.classes = timesteps, classes
        lowest = (shape[1] // 4, shape[2] // 4)
        self.enter = _Convolutions(shape[0], channels, residual=True)
        self.down1 = _Convolutions(channels, channels)
        self.down2 = _Convolutions(channels, 2 * channels)
        self.time1, self.time2 = _embed(1, 2 * channels), _embed(1, channels)
        self.label1 = _embed(classes, 2 * channels) if classes else None
        self.label2 = _embed(classes, channels) if classes else None
        self.expand = nn.Sequential(
            nn.ConvTranspose2d(2 * channels, 2 * channels, lowest, lowest),
            nn.GroupNorm(8, 2 * channels),
            nn.ReLU(),
        )
        self.up1, self.up2 = _up(4 * channels, channels), _up(2 * channels, channels)
        self.leave = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 3, padding=1),
            nn.GroupNorm(8, channels),
            nn.ReLU(),
            nn.Conv2d(channels, outputs, 3, padding=1),
        )

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the output for x at the timesteps t, (N, outputs, H, W)."""
        entry = self.enter(x)
        first = F.max_pool2d(self.down1(entry), 2)
        second = F.max_pool2d(self.down2(first), 2)
        x = self.expand(F.gelu(second.mean(dim=(2, 3), keepdim=True)))
        time = ((t + 1) / self.timesteps).to(x.dtype)[:, None]
        context = self._context(t, label).to(x.dtype)
        x = _modulate(x, self.time1(time), self.label1, context)
        x = self.up1(torch.cat([x, second], dim=1))
        x = _modulate(x, self.time2(time), self.label2, context)
        x = self.up2(torch.cat([x, first], dim=1))
        out: Tensor = self.leave(torch.cat([x, entry], dim=1))
        return out

    def _context(self, t: Tensor, label: Tensor | None) -> Tensor:
        """Return -1 at the label and 0 elsewhere, (N, classes); the sign is the original's."""
        label = torch.full_like(t, self.classes) if label is None else label
        return -F.one_hot(label, self.classes + 1)[:, : self.classes]


class _Convolutions(nn.Module):
    """Two convolutions, each with batch normalisation and GELU; or their sum with what they start from."""

    def __init__(self, inputs: int, outputs: int, *, residual: bool = False) -> None:
        super().__init__()
        self.residual = residual
        self.first, self.second = _convolution(inputs, outputs), _convolution(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        out: Tensor = self.second(first)
        if not self.residual:
            return out
        return ((x if x.shape == out.shape else first) + out) / 1.414  # the original's number


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.GELU())


def _up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 2, 2), _Convolutions(outputs, outputs), _Convolutions(outputs, outputs)
    )


def _embed(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.GELU(), nn.Linear(outputs, outputs))


def _modulate(x: Tensor, time: Tensor, embed: nn.Module | None, context: Tensor) -> Tensor:
    """Multiply x by the label's embedding, if there is one, and add the time's."""
    if embed is not None:
        x = embed(context)[:, :, None, None] * x
    return x + time[:, :, None, None]
