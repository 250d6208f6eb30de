"""Backbones with one mistake each; the networks are in `networks`."""

from __future__ import annotations

from typing import ClassVar

from conformance.case import Case
from conformance.right.backbones import Tiny

from noisette import DataError


class _Wrong(Tiny):
    """Builds the network of the same name."""

    def build(self, shape, classes, outputs):
        from conformance.wrong import networks

        return getattr(networks, type(self).__name__)(self.width, shape[0], classes, outputs)


class EvenSizesOnly(_Wrong):
    """Halves and doubles, which an odd size does not survive, and does not say so."""


class ForgetsOutputs(Tiny):
    def build(self, shape, classes, outputs):
        return super().build(shape, classes, shape[0])


class RefusesAll(Tiny):
    def build(self, shape, classes, outputs):
        raise DataError(f"backbone: {shape} will not do")


class UnusedLayer(_Wrong):
    pass


class BatchStatistics(_Wrong):
    pass


class DropoutLeftOn(_Wrong):
    pass


class ChangesX(_Wrong):
    pass


class CountsItsCalls(_Wrong):
    pass


class ForgetsTime(_Wrong):
    pass


class HalvesTime(_Wrong):
    """Integer division: steps 998 and 999 are one."""


class ForgetsLabels(_Wrong):
    pass


class NoneIsTheFirst(_Wrong):
    """The label "none" is taken modulo the classes."""


class NotRegistered(_Wrong):
    pass


class TiedWeights(_Wrong):
    pass


class SharesItsLayer(_Wrong):
    pass


class OtherGenerator(_Wrong):
    pass


class StaysOnTheCpu(_Wrong):
    pass


class TimeInHalf(_Wrong):
    pass


class OtherWhenCompiled(_Wrong):
    name: ClassVar[str] = "other-when-compiled"


CASES = [
    Case("output-shape", EvenSizesOnly(), Tiny()),
    Case("output-shape", ForgetsOutputs(), Tiny()),
    Case("output-shape", RefusesAll(), Tiny()),
    Case("gradient-reaches-every-parameter", UnusedLayer(), Tiny()),
    Case("images-are-independent", BatchStatistics(), Tiny()),
    Case("deterministic-in-evaluation-mode", DropoutLeftOn(), Tiny()),
    Case("deterministic-in-evaluation-mode", ChangesX(), Tiny()),
    Case("deterministic-in-evaluation-mode", CountsItsCalls(), Tiny()),
    Case("time-changes-the-output", ForgetsTime(), Tiny()),
    Case("time-changes-the-output", HalvesTime(), Tiny()),
    Case("label-changes-the-output", ForgetsLabels(), Tiny()),
    Case("label-changes-the-output", NoneIsTheFirst(), Tiny()),
    Case("state-dict-round-trip", NotRegistered(), Tiny()),
    Case("state-dict-round-trip", TiedWeights(), Tiny()),
    Case("deep-copy-is-independent", SharesItsLayer(), Tiny()),
    Case("same-seed-same-weights", OtherGenerator(), Tiny()),
    Case("works-on-another-device", StaysOnTheCpu(), Tiny()),
    Case("bfloat16-agrees", TimeInHalf(), Tiny()),
    Case("compiled-agrees", OtherWhenCompiled(), Tiny()),
]
