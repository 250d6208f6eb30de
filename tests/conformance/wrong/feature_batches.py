"""Feature networks that look at the batch, at another option or at Python's hash."""

from __future__ import annotations

from conformance.case import Case
from conformance.right.features import Convolutions
from pydantic import Field


class GuessesTheRange(Convolutions):
    """Takes a batch without a value above 1 for one that is scaled."""

    def extract(self, weights, images):
        return super().extract(weights, images if images.max() > 1 else 255 * images)


class SignsByTheHash(Convolutions):
    def weights_sha256(self):
        import hashlib

        return hashlib.sha256(f"{hash('convolutions')}".encode()).hexdigest()


class WeightsByTheHash(Convolutions):
    """Names its weights, whose seed is Python's hash of a text."""

    def weights_sha256(self):
        return "0" * 64

    def weights(self):
        import torch

        return torch.randn(16, 3, 3, 3, generator=torch.Generator().manual_seed(hash("weights") % 2**31))


class _Few(Convolutions):
    """The first channels of them."""

    few: int = Field(16, ge=1, le=16, description="channels that are given")

    def weights(self):
        return super().weights()[: self.few]


class SaysTheDefault(_Few):
    """Declares the number of its default."""


class SaysHowMany(_Few):
    """Declares how many there are."""

    @property
    def dimensions(self):
        return self.few


class WholeGroups(Convolutions):
    """Takes images by fours, and leaves out what is left over."""

    def extract(self, weights, images):
        return super().extract(weights, images[: max(len(images) // 4 * 4, len(images) % 4)])


CASES = [
    Case("many-images-at-once", WholeGroups(), Convolutions()),
    Case("extreme-images-are-independent", GuessesTheRange(), Convolutions()),
    Case("dimensions-as-declared", SaysTheDefault(), SaysHowMany()),
    Case("same-in-another-process", SignsByTheHash(), Convolutions()),
    Case("same-in-another-process", WeightsByTheHash(), Convolutions()),
]
