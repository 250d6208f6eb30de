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
    """Share of images among the real ones (precision), and share of real images among the generated ones (recall).

    "Among" means inside a ball around any image of the other set that reaches to its k-th nearest neighbour there.
    A model that generates few kinds of good images has high precision and low recall; one that generates all kinds
    badly has low precision and high recall. An outlier among the real images has a large ball, which raises
    precision; `density-coverage` is less sensitive to this. Both depend on the numbers of images of both sets.

    The standard errors are for other images from both sources, by the jackknife; they are up to 1.6 times too
    large.
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
        from noisette_plugins.metrics.neighbours import Balls, min_images, precision_recall_shares, require_rows

        ours = require_rows(generated, "judged", min_images(self.k))
        theirs = require_rows(reference, "reference", min_images(self.k))
        precision, recall = precision_recall_shares(Balls.of(ours, self.k), Balls.of(theirs, self.k))
        return {"precision": precision, "recall": recall}
