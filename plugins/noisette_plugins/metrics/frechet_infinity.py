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
    """The Fréchet distance extrapolated to an unlimited number of generated images; FID-infinity over Inception.

    The set is divided into halves, thirds and so on. The distance is computed for every part of each division, and
    a line in 1 / (number of images of a part) is fitted; its value at 0 is the result. This removes the bias of few
    generated images as far as it is linear, which requires parts of several times as many images as the features
    have relevant dimensions. The reference is not divided, so its bias remains. The result may be negative.

    The standard error is from a bootstrap of the images' influences in both sets and of the residuals of the line.
    It does not include the bias from curvature. If a fitted curve ends more than four standard errors and half of
    the correction away from the line, there is no result, as with fewer images than dimensions.
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
