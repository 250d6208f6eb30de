"""Random convolutional features, half the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Features

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from noisette.contracts.features import Extractor


class Half(Features):
    """Random convolutional features, half the memory."""

    name: ClassVar[str] = "random-half"
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
            return F.relu(F.conv2d(x, weights, stride=4)).mean(dim=(2, 3)).half()

        return extract

    def _weights(self) -> Tensor:
        import torch

        return torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(self.seed)) / 14


KIND = "features"
PLUGIN = Half
CAUSE = "features are float16: distances lose digits, and metrics that read bits or add up fail"
WORDS = ("float32", "float16", "dtype")
