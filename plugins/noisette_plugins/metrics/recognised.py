"""The share of images that a classifier of real images recognises."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from noisette import Batch, Estimate, Metric

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["Recognised"]


class Recognised(Metric):
    """Share of images that a classifier fitted on the real reference images recognises as one of the classes.

    An image is recognised if the classifier's confidence in the likeliest class is at least that which nine of ten
    real held-out images reach, so these score 0.9 by construction. Images are judged one by one: a model that
    repeats a single good image scores 1. `classes_seen` therefore counts the classes of the recognised images;
    diversity within a class is not measured. The standard errors are binomial, over the generated images; they do
    not include that of the threshold.
    """

    name: ClassVar[str] = "recognised"
    paper: ClassVar[str] = "the classifier: extremely randomised trees, Geurts, Ernst & Wehenkel 2006"
    needs: ClassVar[Literal["features", "images"]] = "images"
    needs_labels: ClassVar[bool] = True
    better: ClassVar[Literal["lower", "higher"]] = "higher"

    trees: PositiveInt = Field(500, description="trees of the classifier")
    fit: PositiveInt = Field(10_000, description="reference images that it is fitted on, at most")
    seed: NonNegativeInt = Field(0, description="seed of the classifier")

    def update(self, state: State, batch: Batch) -> State:
        """Return images (N, C, H, W) and, if present, labels (N,), with those of `batch` added."""
        from noisette_plugins.metrics.feature_statistics import concat_states

        seen = {"images": batch.images.detach().cpu()}
        if batch.labels is not None:
            seen["labels"] = batch.labels.detach().cpu()
        return concat_states(state, seen)

    def merge(self, a: State, b: State) -> State:
        """Return the images of both sets."""
        from noisette_plugins.metrics.feature_statistics import concat_states

        return concat_states(a, b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `recognised` and the held-out `classifier_accuracy` (binomial errors), and `classes_seen`.

        Raises:
            DataError: if a set is empty, the reference or the held-out images have no labels, the reference has
                one class only, or fewer than 10 images are held out.
        """
        from noisette_plugins.metrics.classifier import recognise

        return recognise(generated, reference, heldout, self.trees, self.fit, self.seed)
