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
    """Distances to the nearest reference images, compared with those of held-out images, and the share of copies.

    - `nearest_distance`: mean distance in the features; that of held-out images is in their row.
    - `memorised_share`: share of images whose nearest reference image is at most a third as far as the second
      nearest. Copies of images that have a near duplicate in the reference are missed. The value of held-out images
      is the share of false alarms.
    - `nearer_than_heldout`: probability that an image is nearer to the reference than a held-out one: a half if the
      images are as new as those, 1 if all are copies, 0 if all are far away.

    Neither low nor high values are better. The reference must be the training images. The standard errors are for
    other images from all sources: over the generated and held-out images, and by the jackknife over the reference,
    except for `nearer_than_heldout`, which the reference hardly affects. The images nearest to the reference are
    shown next to their neighbours: if these are not copies, no image is.
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
