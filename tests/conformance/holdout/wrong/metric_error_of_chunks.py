"""Mean distance of the features from the reference's mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from noisette.contracts.metric import State


class ErrorOfChunks(Metric):
    """Mean distance of the features from the reference's mean."""

    name: ClassVar[str] = "radius-chunks"

    def update(self, state: State, batch: Batch) -> State:
        """Return the features."""
        return self.merge(state, {"features": batch.features.float().cpu()})

    def merge(self, a: State, b: State) -> State:
        """Return the features of both."""
        import torch

        return {"features": torch.cat([a["features"], b["features"]])} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `radius_chunks`."""
        import torch

        if not generated or not reference or len(generated["features"]) < 20:
            raise DataError("expected at least 20 judged images, and a reference")
        radii = (generated["features"].double() - reference["features"].double().mean(dim=0)).norm(dim=1)
        means = torch.stack([chunk.mean() for chunk in radii.tensor_split(10)])
        return {"radius_chunks": Estimate(float(radii.mean()), float(means.std() / 10**0.5))}


KIND = "metric"
PLUGIN = ErrorOfChunks
CAUSE = (
    "the standard error is that of ten consecutive chunks of the images: it hangs on their order, and "
    "on how the set was merged"
)
WORDS = ("order", "stderr", "error")
