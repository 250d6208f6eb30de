"""Fréchet distance with diagonal covariances."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.metric import State


class ScatterOfParts(Metric):
    """Fréchet distance with diagonal covariances."""

    name: ClassVar[str] = "frechet-diagonal"
    paper: ClassVar[str] = "Heusel et al. 2017, eq. 6, diagonal"

    def update(self, state: State, batch: Batch) -> State:
        """Return count, mean and scatter."""
        x = batch.features.double().cpu()
        mean = x.mean(dim=0)
        scatter = (x - mean).square().sum(dim=0)
        return self.merge(state, {"count": torch_int(len(x)), "mean": mean, "scatter": scatter})

    def merge(self, a: State, b: State) -> State:
        """Return the moments of both."""
        if not a or not b:
            return dict(a or b)
        total = a["count"] + b["count"]
        mean = (a["count"] * a["mean"] + b["count"] * b["mean"]) / total
        return {"count": total, "mean": mean, "scatter": a["scatter"] + b["scatter"]}

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `frechet_diagonal`."""
        if any(not state or int(state["count"]) < 2 for state in (generated, reference)):
            raise DataError("expected at least 2 images in both sets")
        stds = [(state["scatter"] / (state["count"] - 1)).sqrt() for state in (generated, reference)]
        means = generated["mean"] - reference["mean"]
        return {"frechet_diagonal": Estimate(float(means.square().sum() + (stds[0] - stds[1]).square().sum()))}


def torch_int(number: int) -> Tensor:
    """Return a number as a tensor."""
    import torch

    return torch.tensor(number)


KIND = "metric"
PLUGIN = ScatterOfParts
CAUSE = (
    "merge adds the scatters of both parts without the term of the difference of their means: too little "
    "variance, the less the more batches"
)
WORDS = ("merge", "batch", "variance", "one pass")
