"""Distances of images from the training images, and detection of copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveInt

from noisette import Estimate, Neighbours
from noisette_plugins.metrics.feature_rows import FeatureRows

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["Nearest"]


class Nearest(FeatureRows):
    """Distances to the nearest reference images beside those of held-out ones, and the share of copies.

    - `nearest_distance`: mean distance in the features; that of held-out images stands in their row.
    - `memorised_share`: share of images whose nearest reference image is at most a third as far as the second
      nearest. Copies of images that the reference has nearly twice are missed; held-out images show how many
      are no copies.
    - `nearer_than_heldout`: chance that an image is nearer to the reference than a held-out one is, where there
      are any: a half for images as new as those, 1 for copies of everything, 0 for images that are far off.

    Neither low nor high is good. The reference must be what the model was trained on. The errors are those of other
    images from all sources: over the judged and held-out ones, and over the reference by the jackknife, but for
    `nearer_than_heldout`, which the reference hardly moves. The images that are nearest of all are shown beside
    their neighbours: if those are no copies, none are.
    """

    name: ClassVar[str] = "nearest"
    paper: ClassVar[str] = (
        "memorised: Yoon et al. 2023; nearer than held-out: Meehan, Chaudhuri & Dasgupta 2020; "
        "its error: DeLong, DeLong & Clarke-Pearson 1988"
    )
    better: ClassVar[Literal["lower", "higher", "neither"]] = "neither"

    shown: PositiveInt = Field(8, description="images that are shown beside reference images")
    beside: PositiveInt = Field(5, description="nearest reference images beside each")

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `nearest_distance`, `memorised_share`, and `nearer_than_heldout` if there are held-out images.

        Raises:
            DataError: if there are no images, fewer than 2 in the reference, or features of another length.
        """
        from noisette_plugins.metrics.memorisation import chance_nearer, distances, mean_distance, memorised_share

        ours = distances(generated, reference, "judged")
        found = {"nearest_distance": mean_distance(ours), "memorised": memorised_share(ours)}
        if heldout:
            found["nearer_than_heldout"] = chance_nearer(ours, distances(heldout, reference, "held-out"))
        return found

    def neighbours(self, generated: State, reference: State) -> list[Neighbours]:
        """Return the images that are nearest to the reference, the nearest first, with their neighbours."""
        from noisette_plugins.metrics.memorisation import nearest_neighbours

        return nearest_neighbours(generated, reference, self.shown, self.beside)
