"""Distance of the mean features."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.metric import State


class MeanOfMeans(Metric):
    """Distance of the mean features."""

    name: ClassVar[str] = "mean-distance"

    def update(self, state: State, batch: Batch) -> State:
        """Return the mean and the count."""
        mean, n = batch.features.double().mean(dim=0).cpu(), len(batch.features)
        if not state:
            return {"mean": mean, "count": torch_int(n)}
        total = state["count"] + n
        return {"mean": state["mean"] + (mean - state["mean"]) * n / total, "count": total}

    def merge(self, a: State, b: State) -> State:
        """Return the mean of both."""
        if not a or not b:
            return dict(a or b)
        return {"mean": (a["mean"] + b["mean"]) / 2, "count": a["count"] + b["count"]}

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `mean_distance`."""
        if not generated or not reference:
            raise DataError("expected images in both sets; got none")
        return {"mean_distance": Estimate(float((generated["mean"] - reference["mean"]).norm()))}


def torch_int(number: int) -> Tensor:
    """Return a number as a tensor."""
    import torch

    return torch.tensor(number)


KIND = "metric"
PLUGIN = MeanOfMeans
CAUSE = "merge averages two means without their counts: wrong for parts of unequal size"
WORDS = ("merge", "unequal", "count", "size")
