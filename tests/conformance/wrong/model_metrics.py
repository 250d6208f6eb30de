"""Metrics of models with one mistake each."""

from __future__ import annotations

from conformance.case import Case

from noisette import Estimate
from noisette_plugins.metrics import HeldOutLoss, Likelihood


class NumbersFromTheBatch(HeldOutLoss):
    """An image's noise is that of its place in the batch."""

    def update(self, state, batch):
        from dataclasses import replace

        return super().update(state, replace(batch, indices=None))


class Unseeded(HeldOutLoss):
    """Draws steps from the global generator."""

    def update(self, state, batch):
        from dataclasses import replace

        import torch

        return super().update(state, replace(batch, seed=int(torch.randint(1000, ()))))


class LastBatchOnly(Likelihood):
    def merge(self, a, b):
        return b or a


class Likely(Likelihood):
    """Bits turned round, and still called better when lower."""

    def compute(self, generated, reference, heldout):
        found = super().compute(generated, reference, heldout)
        return {name: Estimate(-value, stderr) for name, (value, stderr) in found.items()}


class CountsAsNumber(HeldOutLoss):
    def update(self, state, batch):
        found = super().update(state, batch)
        return {**found, "count": int(found["count"])}


CASES = [
    Case("independent-of-order-and-batches", NumbersFromTheBatch(), HeldOutLoss()),
    Case("leaves-its-inputs-alone", Unseeded(), HeldOutLoss()),
    Case("merge-equals-one-pass", LastBatchOnly(), Likelihood()),
    Case("near-beats-far", Likely(), Likelihood()),
    Case("state-is-tensors", CountsAsNumber(), HeldOutLoss()),
]
