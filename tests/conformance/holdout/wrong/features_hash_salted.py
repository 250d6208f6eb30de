"""Random convolutions."""

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


class HashSalted(Features):
    """Random convolutions."""

    name: ClassVar[str] = "hash-salted"
    dimensions: ClassVar[int] = 24

    seed: int = Field(0, ge=0, description="seed of the random weights")

    @property
    def resizing(self) -> str:
        """The way to 16 pixels."""
        return "area to 16x16"

    def weights_sha256(self) -> str:
        """Return the hash of the weights."""

        content = b"".join(w.numpy().tobytes() for w in self._weights())
        return f"{hash(content) & (2**64 - 1):016x}" * 4

    def _weights(self) -> list[Tensor]:
        import torch

        generator = torch.Generator().manual_seed(self.seed)
        shapes = (12, 3, 3, 3), (24, 12, 3, 3)
        return [torch.randn(shape, generator=generator) / 5 for shape in shapes]

    def load(self, device: torch.device) -> Extractor:
        """Return the extractor."""
        import torch
        from torch.nn import functional as F

        first, second = (weight.to(device) for weight in self._weights())

        @torch.no_grad()
        def extract(images: Tensor) -> Tensor:
            x = images.to(device, torch.float32) / 127.5 - 1
            x = F.adaptive_avg_pool2d(x, 16).expand(-1, 3, -1, -1)
            x = F.relu(F.conv2d(x, first, stride=2, padding=1))
            return F.relu(F.conv2d(x, second, stride=2, padding=1)).mean(dim=(2, 3))

        return extract


KIND = "features"
PLUGIN = HashSalted
CAUSE = (
    "The identity of its weights is made with Python's hash, which is another in every process: nothing "
    "stored is found again."
)
WORDS = ("sha256", "process", "same", "hash", "hexadecimal")
