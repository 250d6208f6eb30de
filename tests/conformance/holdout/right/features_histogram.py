"""Soft histograms of each colour: no weights, any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import (
    Features,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from noisette.contracts.features import Extractor


class Histogram(Features):
    """Soft histograms of each colour: no weights, any size."""

    name: ClassVar[str] = "histograms"

    bins: int = Field(8, ge=2, description="bins of each colour")

    @property
    def dimensions(self) -> int:
        """Three colours by the bins."""
        return 3 * self.bins

    @property
    def label(self) -> str:
        """The name, and the bins where they are not the default."""
        return self.name if self.bins == 8 else f"{self.name}-{self.bins}"

    def weights_sha256(self) -> str:
        """Return the hash of the definition: there are no weights."""
        import hashlib

        return hashlib.sha256(f"histograms of {self.bins} triangles".encode()).hexdigest()

    def load(self, device: torch.device) -> Extractor:
        """Return the extractor."""
        import torch

        centres = torch.linspace(0, 255, self.bins, device=device)

        @torch.no_grad()
        def extract(images: Tensor) -> Tensor:
            x = images.to(device, torch.float32).expand(-1, 3, -1, -1).flatten(2)
            apart = (x[..., None] - centres).abs() * (self.bins - 1) / 255
            return (1 - apart).clamp(min=0).mean(dim=2).flatten(1)

        return extract


KIND = "features"
PLUGIN = Histogram
