"""Distance to the reference's mean, as a ratio to that of held-out images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.metric import State


class NeedsHeldout(Metric):
    """Distance to the reference's mean, as a ratio to that of held-out images."""

    name: ClassVar[str] = "relative-distance"

    def update(self, state: State, batch: Batch) -> State:
        """Return sum and count."""
        x = batch.features.double().cpu()
        return self.merge(state, {"sum": x.sum(dim=0), "count": torch_int(len(x))})

    def merge(self, a: State, b: State) -> State:
        """Return the sums of both."""
        return {key: a[key] + b[key] for key in a} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `relative_distance`."""
        if not generated or not reference:
            raise DataError("expected images in both sets; got none")
        ours, theirs, others = (state["sum"] / state["count"] for state in (generated, reference, heldout))
        distance = float((others - theirs).norm())
        return {"relative_distance": Estimate(float((ours - theirs).norm()) / max(distance, 1e-12))}


def torch_int(number: int) -> Tensor:
    """Return a number as a tensor."""
    import torch

    return torch.tensor(number)


KIND = "metric"
PLUGIN = NeedsHeldout
CAUSE = "it reads the held-out set without looking whether there is one: a bare KeyError where there is none"
WORDS = ("held", "{}", "empty")
