"""Feature networks with one mistake each."""

from __future__ import annotations

from typing import ClassVar

from conformance.case import Case
from conformance.right.features import Convolutions


class NamesItsFile(Convolutions):
    def weights_sha256(self):
        return "convolutions-v1.safetensors"


class HashesTheClock(Convolutions):
    def weights_sha256(self):
        import hashlib
        import time

        return hashlib.sha256(str(time.perf_counter_ns()).encode()).hexdigest()


class SaysMore(Convolutions):
    dimensions: ClassVar[int] = 2048


class InDouble(Convolutions):
    def extract(self, weights, pictures):
        return super().extract(weights, pictures).double()


class KeepsTheGraph(Convolutions):
    def extract(self, weights, pictures):
        return super().extract(weights, pictures).requires_grad_()


class DividesByTheSpread(Convolutions):
    """Standardises each picture: a plain one divides zero by zero."""

    def extract(self, weights, pictures):
        vectors = super().extract(weights, pictures)
        return vectors / (pictures.float().std(dim=(1, 2, 3), correction=0)[:, None])


class DropoutLeftOn(Convolutions):
    def extract(self, weights, pictures):
        from torch.nn import functional as F

        return F.dropout(super().extract(weights, pictures), 0.1)


class NewWeightsEachTime(Convolutions):
    def weights(self):
        import torch

        generator = torch.Generator()
        generator.seed()
        return torch.randn(16, 3, 3, 3, generator=generator)


class BatchStatistics(Convolutions):
    """The FID network in training mode."""

    def extract(self, weights, pictures):
        vectors = super().extract(weights, pictures)
        return vectors - vectors.mean(dim=0)


class GreyIsRed(Convolutions):
    """Fills the other channels with zeros."""

    def extract(self, weights, pictures):
        import torch

        if pictures.shape[1] == 1:
            pictures = torch.cat([pictures, torch.zeros_like(pictures).repeat(1, 2, 1, 1)], dim=1)
        return super().extract(weights, pictures)


class BlindToSides(Convolutions):
    """Gives a mirrored picture the same vector."""

    def extract(self, weights, pictures):
        return super().extract(weights, pictures) + super().extract(weights, pictures.flip(-1))


class Constant(Convolutions):
    def extract(self, weights, pictures):
        return super().extract(weights, pictures) * 0 + weights.mean(dim=(1, 2, 3))


class ChangesThePictures(Convolutions):
    def extract(self, weights, pictures):
        return super().extract(weights, pictures.bitwise_and_(0xFE))


class HidesItsClassifier(Convolutions):
    def classifier(self):
        return lambda features: features


class ClassifiesNothing(Convolutions):
    """Says that it classifies, and gives one value a picture."""

    classifies: ClassVar[bool] = True

    def classifier(self):
        return lambda features: features.mean(dim=1)


class ClassifiesSomething(ClassifiesNothing):
    def classifier(self):
        return lambda features: features[:, :4]


CASES = [
    Case("weights-are-named-by-hash", NamesItsFile(), Convolutions()),
    Case("weights-are-named-by-hash", HashesTheClock(), Convolutions()),
    Case("vectors-as-declared", SaysMore(), Convolutions()),
    Case("vectors-as-declared", InDouble(), Convolutions()),
    Case("vectors-as-declared", KeepsTheGraph(), Convolutions()),
    Case("vectors-as-declared", DividesByTheSpread(), Convolutions()),
    Case("same-vectors-every-time", DropoutLeftOn(), Convolutions()),
    Case("same-vectors-every-time", NewWeightsEachTime(), Convolutions()),
    Case("pictures-are-independent", BatchStatistics(), Convolutions()),
    Case("grey-is-repeated", GreyIsRed(), Convolutions()),
    Case("tells-pictures-apart", BlindToSides(), Convolutions()),
    Case("tells-pictures-apart", Constant(), Convolutions()),
    Case("classifies-as-declared", HidesItsClassifier(), Convolutions()),
    Case("classifies-as-declared", ClassifiesNothing(), ClassifiesSomething()),
    Case("leaves-its-inputs-alone", ChangesThePictures(), Convolutions()),
]
