"""Distance of the mean features, class by class."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from noisette.contracts.metric import State


class UndeclaredLabels(Metric):
    """Distance of the mean features, class by class."""

    name: ClassVar[str] = "class-means"

    def update(self, state: State, batch: Batch) -> State:
        """Return sums of features and squares by class."""
        import torch

        x, labels = batch.features.double().cpu(), batch.labels.cpu()
        sums = torch.zeros(16, x.shape[1], dtype=torch.float64).index_add_(0, labels, x)
        return self.merge(state, {"sums": sums, "counts": labels.bincount(minlength=16)})

    def merge(self, a: State, b: State) -> State:
        """Return the sums of both."""
        return {key: a[key] + b[key] for key in a} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `class_means`."""
        if not generated or not reference:
            raise DataError("expected images in both sets; got none")
        there = (generated["counts"] > 0) & (reference["counts"] > 0)
        if not bool(there.any()):
            raise DataError("expected a class that both sets have; there is none")
        means = [state["sums"][there] / state["counts"][there, None] for state in (generated, reference)]
        return {"class_means": Estimate(float((means[0] - means[1]).norm(dim=1).mean()))}


KIND = "metric"
PLUGIN = UndeclaredLabels
CAUSE = "it reads labels and does not declare needs_labels: a set without labels is a bare error"
WORDS = ("label", "needs_labels")
