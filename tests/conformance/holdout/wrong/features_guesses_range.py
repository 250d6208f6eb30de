"""Random convolutions that know both ranges of pixels."""

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


class GuessesRange(Features):
    """Random convolutions that know both ranges of pixels."""

    name: ClassVar[str] = "guesses-range"
    dimensions: ClassVar[int] = 24

    seed: int = Field(0, ge=0, description="seed of the random weights")

    @property
    def resizing(self) -> str:
        """The way to 16 pixels."""
        return "area to 16x16"

    def weights_sha256(self) -> str:
        """Return the hash of the weights."""
        import hashlib

        content = b"".join(w.numpy().tobytes() for w in self._weights())
        return hashlib.sha256(content).hexdigest()

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
            x = images.to(device, torch.float32)
            if x.max() > 1:
                x = x / 255
            x = 2 * x - 1
            x = F.adaptive_avg_pool2d(x, 16).expand(-1, 3, -1, -1)
            x = F.relu(F.conv2d(x, first, stride=2, padding=1))
            return F.relu(F.conv2d(x, second, stride=2, padding=1)).mean(dim=(2, 3))

        return extract


KIND = "features"
PLUGIN = GuessesRange
CAUSE = (
    "It takes a batch whose largest value is at most 1 for one already scaled: a dark image's features "
    "depend on its neighbours."
)
WORDS = ("batch", "alone", "dark", "own", "depend", "neighbour")
