"""Mean distance to the nearest reference image, over a bounded number of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from noisette.contracts.metric import State


class KeepsTheFirst(Metric):
    """Mean distance to the nearest reference image, over a bounded number of images."""

    name: ClassVar[str] = "nearest-bounded"

    kept: int = Field(24, ge=1, description="images that are kept")

    def update(self, state: State, batch: Batch) -> State:
        """Return the features."""
        return self.merge(state, {"features": batch.features.float().cpu()})

    def merge(self, a: State, b: State) -> State:
        """Return the features of both, so many as are kept."""
        import torch

        both = torch.cat([state["features"] for state in (a, b) if state])
        return {"features": both[: self.kept]}

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `nearest_bounded`."""
        import torch

        if not generated or not reference:
            raise DataError("expected images in both sets; got none")
        nearest = torch.cdist(generated["features"].double(), reference["features"].double()).min(dim=1).values
        return {"nearest_bounded": Estimate(float(nearest.mean()))}


KIND = "metric"
PLUGIN = KeepsTheFirst
CAUSE = (
    "only the first images (24 of them) are kept, whatever comes after: sets in order of class are "
    "judged by their first classes, and merged parts by the first part"
)
WORDS = ("order", "first", "merge")
