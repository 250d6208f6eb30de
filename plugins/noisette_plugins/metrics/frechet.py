"""The Fréchet distance, FID over Inception features."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Batch, Estimate, Metric

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["Frechet"]


class Frechet(Metric):
    """Squared Fréchet distance of two Gaussians with the mean and covariance of the features; FID over Inception.

    It is biased upwards. The bias grows as the number of images falls, and is largest with fewer images than
    dimensions: compare only values of the same numbers of images, next to that of real images.

    The standard error is for other images from both sources, computed from the influence of each image. It is
    accurate to a tenth where the sources differ, and up to 1.3 times too large where they are the same. It does not
    include the bias.
    """

    name: ClassVar[str] = "frechet"
    paper: ClassVar[str] = (
        "Heusel et al. 2017, eq. 6; Dowson & Landau 1982; the bias: Chong & Forsyth 2020; the error: Efron 1982"
    )
    published_names: ClassVar[dict[str, dict[str, str]]] = {"inception": {"frechet": "fid"}}

    def update(self, state: State, batch: Batch) -> State:
        """Return the statistics with those of `batch` added.

        They are a sample of at most 2048 features, chosen by content, (k, D), and the moments of the others:
        count (), mean (D,) and scatter (D, D) in float64.
        """
        from noisette_plugins.metrics.feature_statistics import read_features, sample

        return self.merge(state, sample(read_features(batch)))

    def merge(self, a: State, b: State) -> State:
        """Return the statistics of both sets together."""
        from noisette_plugins.metrics.feature_statistics import merge_samples

        return merge_samples(a, b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `frechet`.

        Raises:
            DataError: if a set has fewer than 2 images, or features of another length.
        """
        from noisette_plugins.metrics.frechet_distance import frechet

        return {"frechet": frechet(generated, reference)}
