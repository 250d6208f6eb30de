"""Unbiased kernel distance of all images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from noisette.contracts.metric import State


class DiagonalCounted(Metric):
    """Unbiased kernel distance of all images."""

    name: ClassVar[str] = "kid-all"
    paper: ClassVar[str] = "Gretton et al. 2012, eq. 3"

    def update(self, state: State, batch: Batch) -> State:
        """Return the features."""
        return self.merge(state, {"features": batch.features.float().cpu()})

    def merge(self, a: State, b: State) -> State:
        """Return the features of both."""
        import torch

        return {"features": torch.cat([a["features"], b["features"]])} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `kid_all`."""
        if any(not state or len(state["features"]) < 2 for state in (generated, reference)):
            raise DataError("expected at least 2 images in both sets")
        x, y = generated["features"].double(), reference["features"].double()
        xx, yy, xy = ((a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
        n, m = len(x), len(y)
        value = xx.sum() / (n * (n - 1)) + yy.sum() / (m * (m - 1)) - 2 * xy.mean()
        return {"kid_all": Estimate(float(value))}


KIND = "metric"
PLUGIN = DiagonalCounted
CAUSE = (
    "the kernel of each image with itself is counted, though the value is said to be unbiased: it grows"
    " as sets get smaller and is never 0"
)
WORDS = ("bias", "size", "count", "small")
