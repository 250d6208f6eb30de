"""A feature network without a download: fixed random convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from noisette import Features

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Convolutions(Features):
    """Means of 16 random filters, rectified, over images resized to 16x16."""

    name: ClassVar[str] = "convolutions"
    dimensions: ClassVar[int] = 16

    def weights_sha256(self) -> str:
        import hashlib

        return hashlib.sha256(self.weights().numpy().tobytes()).hexdigest()

    def weights(self) -> Tensor:
        import torch

        return torch.randn(16, 3, 3, 3, generator=torch.Generator().manual_seed(0))

    def load(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        weights = self.weights().to(device)
        return lambda images: self.extract(weights, images.to(device))

    def extract(self, weights: Tensor, images: Tensor) -> Tensor:
        import torch
        from torch.nn import functional as F

        colour = images.expand(-1, 3, -1, -1).float() / 127.5 - 1
        resized = F.interpolate(colour, size=(16, 16), mode="bilinear", antialias=True)
        with torch.no_grad():
            return F.conv2d(resized, weights).relu().mean(dim=(2, 3))
