"""How many different images there are, from the smallest hashes: merging a set with itself changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from noisette.contracts.metric import State


class Distinct(Metric):
    """How many different images there are, from the smallest hashes: merging a set with itself changes nothing.

    It would want to declare that its state is a set, not a sum: copies add nothing, and a sketch of what was seen
    twice is the same; and that the value grows with the number of images.
    """

    name: ClassVar[str] = "distinct"
    paper: ClassVar[str] = "Bar-Yossef et al. 2002; Beyer et al. 2007 (the unbiased estimate)"
    needs: ClassVar[Literal["features", "images"]] = "images"
    better: ClassVar[Literal["lower", "higher", "neither"]] = "higher"

    kept: int = Field(256, ge=3, description="smallest hashes that are kept; as many images are counted exactly")

    def update(self, state: State, batch: Batch) -> State:
        """Return the smallest hashes, ascending, (k,) int64."""
        import hashlib

        import torch

        rows = batch.images.cpu().contiguous().numpy()
        hashes = [int.from_bytes(hashlib.sha256(row.tobytes()).digest()[:8], "big") >> 1 for row in rows]
        return self.merge(state, {"hashes": torch.tensor(hashes, dtype=torch.int64)} if hashes else {})

    def merge(self, a: State, b: State) -> State:
        """Return the smallest hashes of both."""
        import torch

        parts = [state["hashes"] for state in (a, b) if state]
        return {"hashes": torch.cat(parts).unique()[: self.kept]} if parts else {}

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `distinct`, of the judged images alone."""
        if not generated:
            raise DataError("expected at least 1 judged image; got none")
        hashes = generated["hashes"]
        if len(hashes) < self.kept:
            return {"distinct": Estimate(float(len(hashes)), 0.0)}
        value = (self.kept - 1) / (float(hashes[-1]) / 2**63)
        return {"distinct": Estimate(value, value / (self.kept - 2) ** 0.5)}


KIND = "metric"
PLUGIN = Distinct
