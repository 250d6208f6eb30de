"""Mean colours in a grid."""

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


class LengthIgnoresOption(Features):
    """Mean colours in a grid."""

    name: ClassVar[str] = "length-ignores-option"

    cells: int = Field(4, ge=1, description="cells of the grid, along each side")

    @property
    def dimensions(self) -> int:
        """Three for each cell."""
        return 3 * 4 * 4

    def weights_sha256(self) -> str:
        """Return the hash of what defines the features."""
        import hashlib

        return hashlib.sha256(f"grid {self.cells}".encode()).hexdigest()

    def load(self, device: torch.device) -> Extractor:
        """Return the extractor."""
        import torch
        from torch.nn import functional as F

        @torch.no_grad()
        def extract(images: Tensor) -> Tensor:
            x = images.to(device, torch.float32).expand(-1, 3, -1, -1) / 255
            return F.adaptive_avg_pool2d(x, self.cells).flatten(1)

        return extract


KIND = "features"
PLUGIN = LengthIgnoresOption
CAUSE = "Its option decides the length of the vectors, and the declared length is that of the default."
WORDS = ("dimension", "length", "option", "D")
