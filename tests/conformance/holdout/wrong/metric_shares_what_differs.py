"""Difference of a moment of the features."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.metric import State


class SharesWhatDiffers(Metric):
    """Difference of a moment of the features."""

    name: ClassVar[str] = "moment"
    shares_state: ClassVar[bool] = True

    power: int = Field(2, ge=1, description="which moment")

    def update(self, state: State, batch: Batch) -> State:
        """Return count and sums of powers."""
        x = batch.features.double().cpu() ** self.power
        return self.merge(state, {"count": torch_int(len(x)), "sum": x.sum(dim=0)})

    def merge(self, a: State, b: State) -> State:
        """Return the sums of both."""
        return {key: a[key] + b[key] for key in a} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `moment`."""
        if not generated or not reference:
            raise DataError("expected images in both sets; got none")
        means = [state["sum"] / state["count"] for state in (generated, reference)]
        return {"moment": Estimate(float((means[0] - means[1]).abs().mean()))}


def torch_int(number: int) -> Tensor:
    """Return a number as a tensor."""
    import torch

    return torch.tensor(number)


KIND = "metric"
PLUGIN = SharesWhatDiffers
CAUSE = (
    "shares_state is True, but update reads the option `power`: the second of two such metrics is given "
    "the state of the first"
)
WORDS = ("shares_state", "option", "state")
