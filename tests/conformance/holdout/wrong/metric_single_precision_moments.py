"""Difference of the total variance of the features."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.metric import State


class SinglePrecisionMoments(Metric):
    """Difference of the total variance of the features."""

    name: ClassVar[str] = "spread"

    def update(self, state: State, batch: Batch) -> State:
        """Return sums and sums of squares."""
        x = batch.features.float().cpu()
        new = {"count": torch_int(len(x)), "sum": x.sum(dim=0), "squares": x.square().sum(dim=0)}
        return self.merge(state, new)

    def merge(self, a: State, b: State) -> State:
        """Return the sums of both."""
        return {key: a[key] + b[key] for key in a} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `spread`."""
        return {"spread": Estimate(abs(self._variance(generated) - self._variance(reference)))}

    def _variance(self, state: State) -> float:
        if not state or int(state["count"]) < 2:
            raise DataError("expected at least 2 images")
        n = int(state["count"])
        return float(((state["squares"] - state["sum"] ** 2 / n) / (n - 1)).sum())


def torch_int(number: int) -> Tensor:
    """Return a number as a tensor."""
    import torch

    return torch.tensor(number)


KIND = "metric"
PLUGIN = SinglePrecisionMoments
CAUSE = "sums and squares are kept in float32 and subtracted: features far from 0 have variances of rounding errors"
WORDS = ("float64", "float32", "precision", "offset")
