"""Backbones that do not use all that they are given; the networks are in `input_networks`."""

from __future__ import annotations

from conformance.case import Case
from conformance.right.backbones import Tiny


class _Wrong(Tiny):
    """Builds the network of the same name."""

    def build(self, shape, classes, outputs):
        from conformance.wrong import input_networks

        return getattr(input_networks, type(self).__name__)(self.width, shape[0], classes, outputs)


class TableOfAThousand(_Wrong):
    """A table of times that ends at 1000."""


class TimeModuloAThousand(_Wrong):
    """Times begin again at 1000."""


class EverySecondTime(_Wrong):
    """Takes times two by two."""


class TenClasses(_Wrong):
    """A table of labels that ends at ten."""


class FirstChannelAlone(_Wrong):
    """Reads one channel of x."""


class GreyOutput(_Wrong):
    """Gives one channel again and again."""


class WrongBackward(_Wrong):
    """Its own activation has the derivative of another."""


class FrozenInTraining(_Wrong):
    """Detaches what it gives in training mode."""


class RemembersTheFirstLabels(_Wrong):
    """Keeps the embedding of the first batch of each size."""


class ViewsMemory(_Wrong):
    """Takes x for contiguous."""


class GateOfZeros(_Wrong):
    """A gate of zero behind a layer of zeros."""


class CachesByTheStep(_Wrong):
    """Keeps the embedding of a step, whatever the labels are."""


class SeedsItself(Tiny):
    def build(self, shape, classes, outputs):
        import torch

        torch.manual_seed(0)
        return super().build(shape, classes, outputs)


CASES = [
    Case("any-number-of-steps", TableOfAThousand(), Tiny()),
    Case("any-number-of-steps", TimeModuloAThousand(), Tiny()),
    Case("adjacent-timesteps-differ", EverySecondTime(), Tiny()),
    Case("any-number-of-classes", TenClasses(), Tiny()),
    Case("reads-and-writes-every-channel", FirstChannelAlone(), Tiny()),
    Case("reads-and-writes-every-channel", GreyOutput(), Tiny()),
    Case("gradient-is-that-of-the-output", WrongBackward(), Tiny()),
    Case("learns-in-training-mode", FrozenInTraining(), Tiny()),
    Case("calls-are-independent", RemembersTheFirstLabels(), Tiny()),
    Case("calls-are-independent", ViewsMemory(), Tiny()),
    Case("learns-from-its-first-step", GateOfZeros(), Tiny()),
    Case("label-changes-the-output", CachesByTheStep(), Tiny()),
    Case("seeds-decide-the-weights", SeedsItself(), Tiny()),
]
