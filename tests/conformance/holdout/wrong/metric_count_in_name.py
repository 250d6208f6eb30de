"""Distance of the mean features."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import (
    Batch,
    DataError,
    Estimate,
    Metric,
)

if TYPE_CHECKING:
    from noisette.contracts.metric import State


class CountInName(Metric):
    """Distance of the mean features."""

    name: ClassVar[str] = "count-in-name"

    def update(self, state: State, batch: Batch) -> State:
        """Return count and sum, those of `batch` added."""
        import torch

        if not len(batch.features):
            return dict(state)
        sums = batch.features.detach().cpu().double().sum(dim=0)
        return self.merge(state, {"count": torch.tensor(len(batch.features)), "sum": sums})

    def merge(self, a: State, b: State) -> State:
        """Return the sums of both sets."""
        return {key: a[key] + b[key] for key in a} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `mean_distance_<count>`."""
        if not generated or not reference:
            raise DataError("count-in-name: expected images in both sets; one is empty")
        means = [state["sum"] / state["count"] for state in (generated, reference)]
        name = f"mean_distance_{int(generated['count'])}"
        return {name: Estimate(float((means[0] - means[1]).norm()))}


KIND = "metric"
PLUGIN = CountInName
CAUSE = (
    "It puts the number of judged images in the result's name, so that rows of different counts stand in "
    "different columns."
)
WORDS = ("name", "result", "count", "column", "same")
