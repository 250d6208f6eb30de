"""The kernel distance, KID over Inception features."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, NonNegativeInt, PositiveInt

from noisette import Estimate
from noisette_plugins.metrics.feature_rows import FeatureRows

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["KID"]


class KID(FeatureRows):
    """Squared maximum mean discrepancy of the features under the kernel (x·y / D + 1)³; KID over Inception.

    The value is the mean of unbiased estimates over random subsets, as in the paper: its expectation does not
    depend on the number of images, and it may be negative if the sets are similar. A subset has `size` images, or
    as many as the smaller set. The subsets do not depend on the order of the images.

    The standard error is for other images from both sources: the variance of the complete U-statistic over the
    images (up to 1.3 times too large where the sources are the same) plus that of the choice of subsets. Other
    tools print the standard deviation over subsets, which is neither, and is 0 for subsets as large as the sets.
    """

    name: ClassVar[str] = "kid"
    paper: ClassVar[str] = "Bińkowski et al. 2018, section 4; the variance: Serfling 1980, section 5.2"
    published_names: ClassVar[dict[str, dict[str, str]]] = {"inception": {"kid": "kid"}}

    subsets: PositiveInt = Field(100, description="random subsets of each set that are compared")
    size: int = Field(1000, ge=2, description="images of a subset; fewer where a set has fewer")
    seed: NonNegativeInt = Field(0, description="seed of the choice of subsets")

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `kid`.

        Raises:
            DataError: if a set has fewer than 2 images, or features of another length.
        """
        from noisette_plugins.metrics.discrepancy import discrepancy

        return {"kid": discrepancy(generated, reference, self.subsets, self.size, self.seed)}
