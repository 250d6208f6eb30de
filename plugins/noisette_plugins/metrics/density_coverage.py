"""Density and coverage: variants of precision and recall that are less sensitive to outliers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveInt

from noisette import Estimate
from noisette_plugins.metrics.feature_rows import FeatureRows

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["DensityCoverage"]


class DensityCoverage(FeatureRows):
    """Density and coverage: how many balls around real images contain a generated image, and which do.

    A ball around a real image reaches to its k-th nearest neighbour among the real images. Density is the mean
    number of balls that contain a generated image, divided by k; coverage is the share of balls that contain at
    least one. For images from the same distribution as the real ones, the expected density is 1 (it can be larger),
    and the expected coverage is 1 - (M - 1)...(M - k) / ((M + N - 1)...(M + N - k)) for N images and M real ones
    (Naeem et al. 2020, lemma 2). Coverage depends on both numbers; for equal large numbers and k = 5 it is 0.969.

    The standard errors are for other images from both sources, by the jackknife; they are up to 1.6 times too
    large.
    """

    name: ClassVar[str] = "density-coverage"
    paper: ClassVar[str] = "Naeem et al. 2020, eqs. 3 and 4"
    better: ClassVar[Literal["lower", "higher", "neither"]] = "higher"

    k: PositiveInt = Field(5, description="neighbours that a ball reaches to")

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `density` and `coverage`.

        Raises:
            DataError: if a set has fewer than 2k + 2 images, or features of another length.
        """
        from noisette_plugins.metrics.neighbours import Balls, count_in_balls, min_images, require_rows

        ours = require_rows(generated, "judged", min_images(self.k))
        found = count_in_balls(ours, Balls.of(require_rows(reference, "reference", min_images(self.k)), self.k))
        return {"density": found.density(self.k), "coverage": found.coverage()}
