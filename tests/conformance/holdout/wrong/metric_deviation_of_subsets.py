"""Kernel distance over random subsets."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.metric import State


class DeviationOfSubsets(Metric):
    """Kernel distance over random subsets."""

    name: ClassVar[str] = "kid-subsets"
    paper: ClassVar[str] = "Bińkowski et al. 2018, section 4"

    subsets: int = Field(50, ge=1, description="random subsets")

    def update(self, state: State, batch: Batch) -> State:
        """Return the features."""
        return self.merge(state, {"features": batch.features.float().cpu()})

    def merge(self, a: State, b: State) -> State:
        """Return the features of both."""
        import torch

        return {"features": torch.cat([a["features"], b["features"]])} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `kid_subsets`."""
        import torch

        if any(not state or len(state["features"]) < 4 for state in (generated, reference)):
            raise DataError("expected at least 4 images in both sets")
        x, y = (_sorted(state["features"].double()) for state in (generated, reference))
        size, generator = min(len(x), len(y)) * 3 // 4, torch.Generator().manual_seed(0)
        values = []
        for _ in range(self.subsets):
            a = x[torch.randperm(len(x), generator=generator)[:size]]
            b = y[torch.randperm(len(y), generator=generator)[:size]]
            values.append(_mmd(a, b))
        found = torch.stack(values)
        return {"kid_subsets": Estimate(float(found.mean()), float(found.std() / self.subsets**0.5))}


def _sorted(x: Tensor) -> Tensor:
    """Return the rows by their sum, so that their order does not matter."""
    return x[x.sum(dim=1).argsort(stable=True)]


def _mmd(x: Tensor, y: Tensor) -> Tensor:
    n, d = x.shape
    xx, yy, xy = ((a @ b.T / d + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    among = (xx.sum() - xx.trace() + yy.sum() - yy.trace()) / (n * (n - 1))
    return among - 2 * xy.mean()


KIND = "metric"
PLUGIN = DeviationOfSubsets
CAUSE = (
    "the error of the kernel distance is the deviation of overlapping subsets over the root of their "
    "number: more subsets make it as small as one likes"
)
WORDS = ("stderr", "error", "small", "subset")
