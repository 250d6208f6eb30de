"""Coverage: share of reference images with a judged one within their ball."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from noisette.contracts.metric import State


class LowerIsBetter(Metric):
    """Coverage: share of reference images with a judged one within their ball."""

    name: ClassVar[str] = "coverage-balls"
    paper: ClassVar[str] = "Naeem et al. 2020, eq. 9"

    k: int = Field(5, ge=1, description="neighbour that gives the radius")

    def update(self, state: State, batch: Batch) -> State:
        """Return the features."""
        return self.merge(state, {"features": batch.features.float().cpu()})

    def merge(self, a: State, b: State) -> State:
        """Return the features of both."""
        import torch

        return {"features": torch.cat([a["features"], b["features"]])} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `coverage_balls`."""
        import torch

        if not generated or not reference or len(reference["features"]) <= self.k:
            raise DataError(f"expected more than {self.k} reference images, and judged ones")
        x, y = generated["features"].double(), reference["features"].double()
        radii = torch.cdist(y, y).sort(dim=1).values[:, self.k]
        return {"coverage_balls": Estimate(float((torch.cdist(y, x).min(dim=1).values <= radii).double().mean()))}


KIND = "metric"
PLUGIN = LowerIsBetter
CAUSE = "coverage is better when higher, but `better` is left at lower: tables mark the worst row"
WORDS = ("better", "higher", "lower")
