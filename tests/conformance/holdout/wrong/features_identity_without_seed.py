"""Random convolutions."""

from __future__ import annotations

import hashlib
import math
from typing import ClassVar

from pydantic import Field, NonNegativeInt

from noisette import Features


class Named(Features):
    """Random convolutions."""

    name: ClassVar[str] = "random-named"
    paper: ClassVar[str] = "random features: Saxe et al. 2011"
    dimensions: ClassVar[int] = 64

    seed: NonNegativeInt = Field(0, description="seed of the weights")

    @property
    def label(self) -> str:
        """The name, and the seed where it is another."""
        return self.name if self.seed == 0 else f"{self.name}-{self.seed}"

    @property
    def resizing(self) -> str:
        """How images are scaled."""
        return "anti-aliased bicubic to 32x32"

    @property
    def input_size(self):
        """Pixels that the network sees."""
        return 32

    def weights_sha256(self) -> str:
        """Return the sha256 of the weights."""
        state = hashlib.sha256()
        state.update(f"{self.name}-{self.dimensions}".encode())
        return state.hexdigest()

    def load(self, device):
        """Return the extractor, uint8 (N, C, H, W) to float32 (N, 64)."""
        from noisette_plugins.features.extractor import extractor

        return extractor(self._network(), self._prepare, 64, device)

    def _prepare(self, images):
        from noisette_plugins.features.extractor import clean

        return clean(images, 32) / 127.5 - 1

    def _weights(self):
        import torch

        generator = torch.Generator().manual_seed(self.seed)
        shapes = ((32, 3, 3, 3), (64, 32, 3, 3), (64, 64, 3, 3))
        return [torch.randn(shape, generator=generator) * (2 / math.prod(shape[1:])) ** 0.5 for shape in shapes]

    def _network(self):
        from torch import nn
        from torch.nn import functional as F

        class Network(nn.Module):
            def __init__(self, weights):
                super().__init__()
                self.weights = nn.ParameterList(nn.Parameter(each, requires_grad=False) for each in weights)

            def forward(self, x):
                for weights in self.weights:
                    x = F.relu(F.conv2d(x, weights, stride=2, padding=1))
                return x.mean(dim=(2, 3))

        return Network(self._weights())


PLUGIN = Named
CAUSE = (
    "weights_sha256 hashes the name and not the weights: networks of two seeds have one identity, and "
    "stored features are mixed up."
)
WORDS = ("sha256", "identity", "seed", "weights", "option")
