"""The Fréchet distance extrapolated to unlimited images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, NonNegativeInt

from noisette import Estimate
from noisette_plugins.metrics.feature_rows import FeatureRows

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["FrechetInfinity"]


class FrechetInfinity(FeatureRows):
    """`frechet` of the set, of its halves, thirds and so on, carried on to one of unlimited size; FID-infinity.

    The distance is measured on every part of each division and fitted by a line in one over the images of a part,
    whose end at 0 is the value. It is free of the bias of few judged images as far as that is such a line, which
    wants parts of several times as many images as the features have dimensions that matter; the reference stays
    as it is, and so does its bias. It may be negative.

    The error is that of a bootstrap: of the images' influences in both sets, and of what the line leaves over.
    The bias that a curve in place of the line leaves is not in it: where a curve through the same distances ends
    more than four errors and half of the correction away there is no value, as with fewer images than dimensions.
    """

    name: ClassVar[str] = "frechet-infinity"
    paper: ClassVar[str] = "Chong & Forsyth 2020, section 3; the bootstrap: Efron & Tibshirani 1993, chapter 9"
    published_names: ClassVar[dict[str, dict[str, str]]] = {"inception": {"frechet_infinity": "fid_infinity"}}

    divisions: int = Field(5, ge=2, le=20, description="the smallest part is the set divided by this")
    resamples: int = Field(200, ge=20, description="resamples of the bootstrap")
    seed: NonNegativeInt = Field(0, description="seed of the parts and of the bootstrap")

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `frechet_infinity`.

        Raises:
            DataError: if the smallest part has fewer than 10 images, the reference fewer than 2, features have
                another length, or the distances of the parts are on no line.
        """
        from noisette_plugins.metrics.extrapolation import extrapolate

        found = extrapolate(generated, reference, self.divisions, self.resamples, self.seed)
        return {"frechet_infinity": found}
