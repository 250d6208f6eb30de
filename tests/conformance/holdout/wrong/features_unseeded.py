"""Random convolutional features."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Features

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from noisette.contracts.features import Extractor


class Unseeded(Features):
    """Random convolutional features."""

    name: ClassVar[str] = "random-unseeded"
    dimensions: ClassVar[int] = 64

    seed: int = Field(0, ge=0, description="seed of the fixed weights")

    @property
    def resizing(self) -> str:
        """Anti-aliased bilinear."""
        return "anti-aliased bilinear to 32x32"

    def weights_sha256(self) -> str:
        """Return the hash of the weights."""
        import hashlib

        return hashlib.sha256(self._weights().numpy().tobytes()).hexdigest()

    def load(self, device: torch.device) -> Extractor:
        """Return the extractor."""
        import torch
        from torch.nn import functional as F

        weights = self._weights().to(device)

        @torch.no_grad()
        def extract(images: Tensor) -> Tensor:
            x = images.to(device).float() / 127.5 - 1
            x = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x
            x = F.interpolate(x, size=(32, 32), mode="bilinear", antialias=True, align_corners=False)
            return F.relu(F.conv2d(x, weights, stride=4)).mean(dim=(2, 3))

        return extract

    def _weights(self) -> Tensor:
        import torch

        return torch.randn(64, 3, 8, 8) / 14


KIND = "features"
PLUGIN = Unseeded
CAUSE = (
    "the weights are drawn anew from the global generator at every load: features of two processes cannot"
    " be compared"
)
WORDS = ("global", "load", "determin", "same", "seed")
