"""Mean nearest distance, and the nearest pairs to be shown."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, PositiveInt

from noisette import DataError, Estimate, Neighbours
from noisette_plugins.metrics.feature_rows import FeatureRows


class Copies(FeatureRows):
    """Mean nearest distance, and the nearest pairs to be shown."""

    name: ClassVar[str] = "copies"
    paper: ClassVar[str] = "Carlini et al. 2023"
    better: ClassVar[Literal["lower", "higher", "neither"]] = "neither"

    shown: PositiveInt = Field(8, description="images that are shown")

    def compute(self, generated, reference, heldout):
        """Return `copies`."""
        far = self._distances(generated, reference)
        return {"copies": Estimate(float(far.amin(dim=1).mean()))}

    def neighbours(self, generated, reference):
        """Return the images nearest to the reference, with three neighbours each."""
        far = self._distances(generated, reference)
        order = far.amin(dim=1).argsort()[: self.shown]
        found = []
        for place in order.tolist():
            values, places = far[place].topk(min(3, far.shape[1]), largest=False)
            found.append(Neighbours(place + 1, places.tolist(), values.tolist()))
        return found

    def _distances(self, generated, reference):
        import torch

        if not generated or not reference:
            raise DataError("expected images in both sets")
        return torch.cdist(generated["features"].to(torch.float64), reference["features"].to(torch.float64))


PLUGIN = Copies
CAUSE = (
    "neighbours counts the places of judged images from 1; places are in the order in which update saw "
    "them, from 0: the last is out of range and every other names the next image."
)
WORDS = ("neighbour", "place", "nearest", "range", "distances", "beside")
