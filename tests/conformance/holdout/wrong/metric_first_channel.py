"""Difference of the histograms of values."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from noisette.contracts.metric import State


class FirstChannel(Metric):
    """Difference of the histograms of values."""

    name: ClassVar[str] = "histogram"
    needs: ClassVar[Literal["features", "images"]] = "images"

    def update(self, state: State, batch: Batch) -> State:
        """Return counts of the 256 values."""
        counts = batch.images[:, 0].flatten().long().cpu().bincount(minlength=256)
        return self.merge(state, {"counts": counts})

    def merge(self, a: State, b: State) -> State:
        """Return the counts of both."""
        return {"counts": a["counts"] + b["counts"]} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `histogram`, the total variation distance."""
        if not generated or not reference:
            raise DataError("expected images in both sets; got none")
        shares = [state["counts"].double() / state["counts"].sum() for state in (generated, reference)]
        return {"histogram": Estimate(float((shares[0] - shares[1]).abs().sum() / 2))}


KIND = "metric"
PLUGIN = FirstChannel
CAUSE = "only the first channel is read: errors of the other colours are not seen"
WORDS = ("channel", "colour", "color")
