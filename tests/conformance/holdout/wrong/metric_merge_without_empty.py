"""Distance of the mean features."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.metric import State


class MergeWithoutEmpty(Metric):
    """Distance of the mean features."""

    name: ClassVar[str] = "mean-strict"

    def update(self, state: State, batch: Batch) -> State:
        """Return sum and count."""
        x = batch.features.double().cpu()
        if not state:
            return {"sum": x.sum(dim=0), "count": torch_int(len(x))}
        return {"sum": state["sum"] + x.sum(dim=0), "count": state["count"] + len(x)}

    def merge(self, a: State, b: State) -> State:
        """Return the sums of both."""
        return {"sum": a["sum"] + b["sum"], "count": a["count"] + b["count"]}

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `mean_strict`."""
        if not generated or not reference:
            raise DataError("expected images in both sets; got none")
        means = [state["sum"] / state["count"] for state in (generated, reference)]
        return {"mean_strict": Estimate(float((means[0] - means[1]).norm()))}


def torch_int(number: int) -> Tensor:
    """Return a number as a tensor."""
    import torch

    return torch.tensor(number)


KIND = "metric"
PLUGIN = MergeWithoutEmpty
CAUSE = (
    "merge fails with a bare KeyError where one of the states is {}: a process without images ends the evaluation"
)
WORDS = ("merge", "empty", "{}")
