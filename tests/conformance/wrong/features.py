"""Feature networks with one mistake each."""

from __future__ import annotations

from typing import ClassVar

from conformance.case import Case
from conformance.right.features import Convolutions
from pydantic import Field


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
    def extract(self, weights, images):
        return super().extract(weights, images).double()


class KeepsTheGraph(Convolutions):
    def extract(self, weights, images):
        return super().extract(weights, images).requires_grad_()


class DividesByTheSpread(Convolutions):
    """Standardises each image: a plain one divides zero by zero."""

    def extract(self, weights, images):
        vectors = super().extract(weights, images)
        return vectors / (images.float().std(dim=(1, 2, 3), correction=0)[:, None])


class DropoutLeftOn(Convolutions):
    def extract(self, weights, images):
        from torch.nn import functional as F

        return F.dropout(super().extract(weights, images), 0.1)


class NewWeightsEachTime(Convolutions):
    def weights(self):
        import torch

        generator = torch.Generator()
        generator.seed()
        return torch.randn(16, 3, 3, 3, generator=generator)


class BatchStatistics(Convolutions):
    """The FID network in training mode."""

    def extract(self, weights, images):
        vectors = super().extract(weights, images)
        return vectors - vectors.mean(dim=0)


class GreyIsRed(Convolutions):
    """Fills the other channels with zeros."""

    def extract(self, weights, images):
        import torch

        if images.shape[1] == 1:
            images = torch.cat([images, torch.zeros_like(images).repeat(1, 2, 1, 1)], dim=1)
        return super().extract(weights, images)


class Constant(Convolutions):
    def extract(self, weights, images):
        return super().extract(weights, images) * 0 + weights.mean(dim=(1, 2, 3))


class ChangesTheImages(Convolutions):
    def extract(self, weights, images):
        return super().extract(weights, images.bitwise_and_(0xFE))


class HidesItsClassifier(Convolutions):
    def load_classifier(self):
        return lambda features: features


class ClassifiesNothing(Convolutions):
    """Says that it classifies, and gives one value an image."""

    has_classifier: ClassVar[bool] = True

    def load_classifier(self):
        return lambda features: features.mean(dim=1)


class ClassifiesSomething(ClassifiesNothing):
    def load_classifier(self):
        return lambda features: features[:, :4]


CASES = [
    Case("weights-have-a-hash", NamesItsFile(), Convolutions()),
    Case("weights-have-a-hash", HashesTheClock(), Convolutions()),
    Case("vectors-as-declared", SaysMore(), Convolutions()),
    Case("vectors-as-declared", InDouble(), Convolutions()),
    Case("vectors-as-declared", KeepsTheGraph(), Convolutions()),
    Case("vectors-as-declared", DividesByTheSpread(), Convolutions()),
    Case("vectors-are-deterministic", DropoutLeftOn(), Convolutions()),
    Case("vectors-are-deterministic", NewWeightsEachTime(), Convolutions()),
    Case("images-are-independent", BatchStatistics(), Convolutions()),
    Case("grey-is-repeated", GreyIsRed(), Convolutions()),
    Case("distinguishes-images", Constant(), Convolutions()),
    Case("classifies-as-declared", HidesItsClassifier(), Convolutions()),
    Case("classifies-as-declared", ClassifiesNothing(), ClassifiesSomething()),
    Case("leaves-its-inputs-alone", ChangesTheImages(), Convolutions()),
]


class TopHalf(Convolutions):
    def extract(self, weights, images):
        return super().extract(weights, images[..., : max(images.shape[-2] // 2, 1), :])


class ViewsMemory(Convolutions):
    def extract(self, weights, images):
        return super().extract(weights, images.view(-1).view(images.shape))


class ForgetsTheBias(Convolutions):
    """Convolutions with an option that is forgotten."""

    bias: float = Field(0.0, ge=0, le=1, description="added to the filters")


class AddsTheBias(ForgetsTheBias):
    """Convolutions with an option that is not forgotten."""

    def weights(self):
        return super().weights() + self.bias


class NormalisesByTheFirstBatch(Convolutions):
    """Takes the mean of the first batch from all vectors."""

    def load(self, device):
        extract, first = super().load(device), []

        def moved(images):
            vectors = extract(images)
            first.append(vectors.mean(dim=0))
            return vectors - first[0]

        return moved


CASES += [
    Case("sees-the-whole-image", TopHalf(), Convolutions()),
    Case("any-memory-layout", ViewsMemory(), Convolutions()),
    Case("every-option-has-an-effect", ForgetsTheBias(), AddsTheBias()),
    Case("vectors-are-deterministic", NormalisesByTheFirstBatch(), Convolutions()),
]


class SeedsAll(Convolutions):
    def load(self, device):
        import torch

        torch.manual_seed(0)
        return super().load(device)


class WrapsBytes(Convolutions):
    def extract(self, weights, images):
        return super().extract(weights, images - 128)


class NamedByItsName(AddsTheBias):
    """One hash for all its options."""

    def weights_sha256(self):
        import hashlib

        return hashlib.sha256(b"convolutions").hexdigest()


CASES += [
    Case("loading-seeds-nothing", SeedsAll(), Convolutions()),
    Case("bytes-do-not-wrap", WrapsBytes(), Convolutions()),
    Case("options-change-the-identity", NamedByItsName(), AddsTheBias()),
]
