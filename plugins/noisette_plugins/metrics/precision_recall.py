"""Improved precision and recall: separate measures of fidelity and diversity."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveInt

from noisette import Estimate
from noisette_plugins.metrics.feature_rows import FeatureRows

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["PrecisionRecall"]


class PrecisionRecall(FeatureRows):
    """Share of images that lie among the real ones (precision), and of real ones that lie among them (recall).

    "Among" is inside a ball round any image of the other set that reaches to its k-th neighbour there. A model
    that draws few kinds of good images has high precision and low recall; the other way round, a model that
    draws everything, badly. One outlier among the real images has a large ball, which raises precision:
    `density-coverage` suffers less. Both hang on the counts of both sets.

    The errors are those of other images from both sources, by the jackknife: up to 1.6 times too large.
    """

    name: ClassVar[str] = "precision-recall"
    paper: ClassVar[str] = "Kynkäänniemi et al. 2019, eqs. 1 and 2"
    better: ClassVar[Literal["lower", "higher", "neither"]] = "higher"

    k: PositiveInt = Field(3, description="neighbours that a ball reaches to")

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `precision` and `recall`.

        Raises:
            DataError: if a set has fewer than 2k + 2 images, or features of another length.
        """
        from noisette_plugins.metrics.manifolds import Balls, min_images, precision_recall_shares
        from noisette_plugins.metrics.neighbours import require_rows

        ours = require_rows(generated, "judged", min_images(self.k))
        theirs = require_rows(reference, "reference", min_images(self.k))
        precision, recall = precision_recall_shares(Balls.of(ours, self.k), Balls.of(theirs, self.k))
        return {"precision": precision, "recall": recall}
