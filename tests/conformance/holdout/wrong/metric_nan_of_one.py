"""Difference of the deviation of the features."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from noisette.contracts.metric import State


class NaNOfOne(Metric):
    """Difference of the deviation of the features."""

    name: ClassVar[str] = "deviation"

    def update(self, state: State, batch: Batch) -> State:
        """Return the features."""
        return self.merge(state, {"features": batch.features.float().cpu()})

    def merge(self, a: State, b: State) -> State:
        """Return the features of both."""
        import torch

        return {"features": torch.cat([a["features"], b["features"]])} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `deviation`."""
        if not generated or not reference:
            raise DataError("expected images in both sets; got none")
        ours, theirs = (state["features"].double().std(dim=0).mean() for state in (generated, reference))
        return {"deviation": Estimate(float((ours - theirs).abs()))}


KIND = "metric"
PLUGIN = NaNOfOne
CAUSE = "a set of one image has a variance of NaN, which is returned where a DataError is due"
WORDS = ("NaN", "few", "small", "DataError", "one")
