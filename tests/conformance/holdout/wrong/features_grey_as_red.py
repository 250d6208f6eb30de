"""Random convolutional features."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Features

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from noisette.contracts.features import Extractor


class GreyAsRed(Features):
    """Random convolutional features."""

    name: ClassVar[str] = "random-grey-as-red"
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
            x = F.pad(x, (0, 0, 0, 0, 0, 3 - x.shape[1]))
            x = F.interpolate(x, size=(32, 32), mode="bilinear", antialias=True, align_corners=False)
            return F.relu(F.conv2d(x, weights, stride=4)).mean(dim=(2, 3))

        return extract

    def _weights(self) -> Tensor:
        import torch

        return torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(self.seed)) / 14


KIND = "features"
PLUGIN = GreyAsRed
CAUSE = (
    "grey images are padded with two channels of zeros, not repeated to three: the same image as RGB "
    "has other features"
)
WORDS = ("grey", "gray", "channel", "repeat")
