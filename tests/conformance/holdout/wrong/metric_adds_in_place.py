"""Distance of the mean features."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.metric import State


class AddsInPlace(Metric):
    """Distance of the mean features."""

    name: ClassVar[str] = "mean-in-place"

    def update(self, state: State, batch: Batch) -> State:
        """Return sum and count."""
        x = batch.features.double().cpu()
        if not state:
            return {"sum": x.sum(dim=0), "count": torch_int(len(x))}
        state["sum"] += x.sum(dim=0)
        state["count"] += len(x)
        return state

    def merge(self, a: State, b: State) -> State:
        """Return the sums of both."""
        return {key: a[key] + b[key] for key in a} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `mean_in_place`."""
        if not generated or not reference:
            raise DataError("expected images in both sets; got none")
        means = [state["sum"] / state["count"] for state in (generated, reference)]
        return {"mean_in_place": Estimate(float((means[0] - means[1]).norm()))}


def torch_int(number: int) -> Tensor:
    """Return a number as a tensor."""
    import torch

    return torch.tensor(number)


KIND = "metric"
PLUGIN = AddsInPlace
CAUSE = "update adds to the tensors of the state that it was given: a state that was stored or shared is changed"
WORDS = ("state", "in place", "in-place", "changed", "modif")
