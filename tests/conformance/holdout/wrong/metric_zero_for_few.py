"""Distance of the standard deviations of the features."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import (
    Batch,
    Estimate,
    Metric,
)

if TYPE_CHECKING:
    from noisette.contracts.metric import State


class ZeroForFew(Metric):
    """Distance of the standard deviations of the features."""

    name: ClassVar[str] = "zero-for-few"

    def update(self, state: State, batch: Batch) -> State:
        """Return the features, those of `batch` added."""
        return self.merge(state, {"rows": batch.features.detach().cpu().float()} if len(batch.features) else {})

    def merge(self, a: State, b: State) -> State:
        """Return the features of both sets."""
        import torch

        return {"rows": torch.cat([a["rows"], b["rows"]])} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `spread_distance`."""
        if any(not state or len(state["rows"]) < 2 for state in (generated, reference)):
            return {"spread_distance": Estimate(0.0)}
        spreads = [state["rows"].double().std(dim=0) for state in (generated, reference)]
        return {"spread_distance": Estimate(float((spreads[0] - spreads[1]).norm()))}


KIND = "metric"
PLUGIN = ZeroForFew
CAUSE = "For sets that are empty or too small it returns 0, the best value there is, instead of refusing them."
WORDS = ("DataError", "small", "empty", "few", "refuse")
