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
    """In how many real images' balls an image lies, of k (density), and the share of balls with any (coverage).

    A real image's ball reaches to its k-th neighbour among the real ones. Images drawn as the real ones have a
    density of 1, which may be exceeded, and a coverage of 1 - (M - 1)...(M - k) / ((M + N - 1)...(M + N - k)) for
    N images and M real ones (Naeem et al. 2020, lemma 2): it hangs on both counts, and is 0.969 for equal large
    counts and k of 5.

    The errors are those of other images from both sources, by the jackknife: up to 1.6 times too large.
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
        from noisette_plugins.metrics.manifolds import Balls, count_in_balls, min_images
        from noisette_plugins.metrics.neighbours import require_rows

        ours = require_rows(generated, "judged", min_images(self.k))
        found = count_in_balls(ours, Balls.of(require_rows(reference, "reference", min_images(self.k)), self.k))
        return {"density": found.density(self.k), "coverage": found.coverage()}
