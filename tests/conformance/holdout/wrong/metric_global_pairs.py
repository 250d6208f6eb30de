"""Mean distance of random pairs of images, beside the reference's: diversity."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from noisette.contracts.metric import State


class GlobalPairs(Metric):
    """Mean distance of random pairs of images, beside the reference's: diversity."""

    name: ClassVar[str] = "diversity"

    pairs: int = Field(200, ge=1, description="random pairs")

    def update(self, state: State, batch: Batch) -> State:
        """Return the features."""
        return self.merge(state, {"features": batch.features.float().cpu()})

    def merge(self, a: State, b: State) -> State:
        """Return the features of both."""
        import torch

        return {"features": torch.cat([a["features"], b["features"]])} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `diversity`."""
        ours, theirs = self._spread(generated), self._spread(reference)
        return {"diversity": Estimate(abs(ours - theirs))}

    def _spread(self, state: State) -> float:
        import torch

        if not state or len(state["features"]) < 2:
            raise DataError("expected at least 2 images")
        x = state["features"].double()
        a = torch.randint(len(x), (self.pairs,))
        b = (a + torch.randint(1, len(x), (self.pairs,))) % len(x)
        return float((x[a] - x[b]).norm(dim=1).mean())


KIND = "metric"
PLUGIN = GlobalPairs
CAUSE = (
    "random pairs are chosen by torch's global generator: the same sets give other values, and what is "
    "drawn later is moved"
)
WORDS = ("global", "random", "determin", "same", "twice")
