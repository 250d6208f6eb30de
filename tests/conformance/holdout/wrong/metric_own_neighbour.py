"""Improved precision: share of images within the reference's k-nearest balls."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from noisette.contracts.metric import State


class OwnNeighbour(Metric):
    """Improved precision: share of images within the reference's k-nearest balls."""

    name: ClassVar[str] = "precision-balls"
    paper: ClassVar[str] = "Kynkäänniemi et al. 2019, eq. 2"
    better: ClassVar[Literal["lower", "higher", "neither"]] = "higher"

    k: int = Field(3, ge=1, description="neighbour that gives the radius")

    def update(self, state: State, batch: Batch) -> State:
        """Return the features."""
        return self.merge(state, {"features": batch.features.float().cpu()})

    def merge(self, a: State, b: State) -> State:
        """Return the features of both."""
        import torch

        return {"features": torch.cat([a["features"], b["features"]])} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `precision_balls`."""
        import torch

        if not generated or not reference or len(reference["features"]) <= self.k:
            raise DataError(f"expected more than {self.k} reference images, and judged ones")
        x, y = generated["features"].double(), reference["features"].double()
        radii = torch.cdist(y, y).sort(dim=1).values[:, self.k - 1]
        share = float((torch.cdist(x, y) <= radii).any(dim=1).double().mean())
        return {"precision_balls": Estimate(share, (max(share * (1 - share), 0.25 / len(x)) / len(x)) ** 0.5)}


KIND = "metric"
PLUGIN = OwnNeighbour
CAUSE = (
    "each reference image is counted as its own nearest neighbour, so that k is one less than it says, "
    "and with k = 1 the precision is 0"
)
WORDS = ("neighbour", "self", "own", "k")
