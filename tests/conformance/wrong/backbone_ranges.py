"""Backbones that fail at some steps, values, calls or options; the networks are in `range_networks`."""

from __future__ import annotations

from conformance.case import Case
from conformance.right.backbones import Tiny
from pydantic import Field


class _Wrong(Tiny):
    """Builds the network of the same name."""

    def build(self, shape, classes, outputs):
        from conformance.wrong import range_networks

        return getattr(range_networks, type(self).__name__)(self.width, shape[0], classes, outputs)


class StepsInBytes(_Wrong):
    """Keeps the step in a byte."""


class EndsInTanh(_Wrong):
    """Gives pixels alone."""


class NeverBelowZero(_Wrong):
    """Ends in a ReLU."""


class LabelRequired(_Wrong):
    """Cannot be called without a label."""


class _Option(Tiny):
    few: int = Field(0, ge=0, le=2, description="channels left out")


class FewerOutputs(_Option):
    """Gives fewer channels than it was asked for."""

    def build(self, shape, classes, outputs):
        return super().build(shape, classes, outputs - self.few)


class DropsAnOption(Tiny):
    dropout: float = Field(0.1, ge=0, lt=1, description="share of values that training drops")


class _Dropout(DropsAnOption):
    def build(self, shape, classes, outputs):
        network = super().build(shape, classes, outputs)
        network.dropout.p = self.dropout
        return network


class SeededByTheHash(Tiny):
    """Its weights hang on Python's hash of its name, which differs from process to process."""

    def build(self, shape, classes, outputs):
        import torch

        network = super().build(shape, classes, outputs)
        with torch.no_grad():
            network.enter.bias += 1 + hash("tiny") % 1000
        return network


CASES = [
    Case("timesteps-do-not-repeat", StepsInBytes(), Tiny()),
    Case("outputs-have-no-bounds", EndsInTanh(), Tiny()),
    Case("outputs-have-no-bounds", NeverBelowZero(), Tiny()),
    Case("called-without-a-label", LabelRequired(), Tiny()),
    Case("options-build-networks", FewerOutputs(), Tiny()),
    Case("every-option-has-an-effect", DropsAnOption(), _Dropout()),
    Case("same-in-another-process", SeededByTheHash(), Tiny()),
]
