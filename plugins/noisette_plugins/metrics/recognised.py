"""The share of pictures that a classifier of the real ones recognises."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from noisette import Batch, Estimate, Metric

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["Recognised"]


class Recognised(Metric):
    """Share of pictures that look like one of the classes, to a classifier fitted on the real reference pictures.

    A picture is recognised if the classifier's confidence in its likeliest class is at least that which nine of
    ten real held-out pictures reach: those score 0.9 themselves, by construction. It judges pictures one by one:
    a model that repeats a single good picture scores 1, so `classes_seen` counts the classes among the
    recognised ones, and diversity within a class is left to the distances. The errors are binomial, over the
    judged pictures; that of the threshold is not in them.
    """

    name: ClassVar[str] = "recognised"
    paper: ClassVar[str] = "the classifier: extremely randomised trees, Geurts, Ernst & Wehenkel 2006"
    needs: ClassVar[Literal["features", "pictures"]] = "pictures"
    needs_labels: ClassVar[bool] = True
    better: ClassVar[Literal["lower", "higher"]] = "higher"

    trees: PositiveInt = Field(500, description="trees of the classifier")
    fit: PositiveInt = Field(10_000, description="reference pictures that it is fitted on, at most")
    seed: NonNegativeInt = Field(0, description="seed of the classifier")

    def update(self, state: State, batch: Batch) -> State:
        """Return pictures (N, C, H, W) and, where there are any, labels (N,), those of `batch` added."""
        from noisette_plugins.metrics.feature_statistics import joined

        seen = {"pictures": batch.pictures.detach().cpu()}
        if batch.labels is not None:
            seen["labels"] = batch.labels.detach().cpu()
        return joined(state, seen)

    def merge(self, a: State, b: State) -> State:
        """Return the pictures of both sets."""
        from noisette_plugins.metrics.feature_statistics import joined

        return joined(a, b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `recognised` and the held-out `classifier_accuracy` (binomial errors), and `classes_seen`.

        Raises:
            DataError: if a set is empty, the reference or the held-out pictures have no labels, the reference has
                one class only, or fewer than 10 pictures are held out.
        """
        from noisette_plugins.metrics.classifier import recognise

        return recognise(generated, reference, heldout, self.trees, self.fit, self.seed)
