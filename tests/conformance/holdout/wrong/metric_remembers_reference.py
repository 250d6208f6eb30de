"""Distance of the mean features; the reference's is computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import PrivateAttr

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.metric import State


class RemembersReference(Metric):
    """Distance of the mean features; the reference's is computed once."""

    name: ClassVar[str] = "mean-remembered"

    _mean: list[Any] = PrivateAttr(default_factory=list)

    def update(self, state: State, batch: Batch) -> State:
        """Return sum and count."""
        x = batch.features.double().cpu()
        return self.merge(state, {"sum": x.sum(dim=0), "count": torch_int(len(x))})

    def merge(self, a: State, b: State) -> State:
        """Return the sums of both."""
        return {key: a[key] + b[key] for key in a} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `mean_remembered`."""
        if not generated or not reference:
            raise DataError("expected images in both sets; got none")
        if not self._mean:
            self._mean.append(reference["sum"] / reference["count"])
        return {"mean_remembered": Estimate(float((generated["sum"] / generated["count"] - self._mean[0]).norm()))}


def torch_int(number: int) -> Tensor:
    """Return a number as a tensor."""
    import torch

    return torch.tensor(number)


KIND = "metric"
PLUGIN = RemembersReference
CAUSE = (
    "the reference's mean is computed once and kept for ever: every later reference is compared as if it "
    "were the first"
)
WORDS = ("reference", "cache", "state", "second", "remember")
