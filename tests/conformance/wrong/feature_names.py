"""Feature networks whose hash, label or size is that of others."""

from __future__ import annotations

from typing import ClassVar

from conformance.case import Case
from conformance.right.features import Convolutions
from pydantic import Field


class Seeded(Convolutions):
    """Weights from a seed, which hash and label tell."""

    seed: int = Field(0, ge=0, description="seed of the weights")

    @property
    def label(self):
        return f"{self.name}-{self.seed}"

    def weights(self):
        import torch

        return torch.randn(16, 3, 3, 3, generator=torch.Generator().manual_seed(self.seed))


class HashesItsName(Seeded):
    def weights_sha256(self):
        import hashlib

        return hashlib.sha256(self.name.encode()).hexdigest()


class LabelledByName(Seeded):
    @property
    def label(self):
        return self.name


class Sized(Convolutions):
    """Says the size that it sees."""

    size: ClassVar[int] = 16

    @property
    def input_size(self):
        return self.size


class SaysTwiceTheSize(Sized):
    size: ClassVar[int] = 32


CASES = [
    Case("other-weights-have-another-hash", HashesItsName(), Seeded()),
    Case("other-weights-have-another-label", LabelledByName(), Seeded()),
    Case("uses-the-full-input-size", SaysTwiceTheSize(), Sized()),
]
