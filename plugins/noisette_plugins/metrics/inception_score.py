"""The inception score: confident predictions for each image, diverse predictions over all images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from noisette import Batch, Estimate, Metric

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["InceptionScore"]


class InceptionScore(Metric):
    """exp of the mean divergence of each image's class probabilities from those of all, KL(p(y|x) || p(y)).

    It is between 1 and the number of classes. It does not use real images: compare it with the row of held-out
    images. One good image of each class is enough for a high score. Over Inception the probabilities are those of
    1008 classes without the bias, as in the paper's code; over other features with a classifier, the result has
    their name.

    The value is the mean over splits, as in the paper, because it rises with the number of images of a split. The
    content of an image decides its split. The standard error is by the jackknife over 100 groups.
    """

    name: ClassVar[str] = "inception-score"
    paper: ClassVar[str] = "Salimans et al. 2016, section 4; its limits: Barratt & Sharma 2018"
    needs_logits: ClassVar[bool] = True
    published_names: ClassVar[dict[str, dict[str, str]]] = {"inception": {"inception_score": "inception_score"}}
    better: ClassVar[Literal["lower", "higher", "neither"]] = "higher"

    splits: int = Field(10, ge=1, le=50, description="parts of the images whose scores are averaged")

    def update(self, state: State, batch: Batch) -> State:
        """Return counts (100,) and sums of probabilities (100, K) and of p log p (100,), including `batch`."""
        from noisette_plugins.metrics.entropies import sum_logits

        return self.merge(state, sum_logits(batch.logits))

    def merge(self, a: State, b: State) -> State:
        """Return the sums of both sets."""
        from noisette_plugins.metrics.entropies import merge_sums

        return merge_sums(a, b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `inception_score`.

        Raises:
            DataError: if there are no class probabilities, or too few different images for so many splits.
        """
        from noisette_plugins.metrics.entropies import score

        return {"inception_score": score(generated, self.splits)}
