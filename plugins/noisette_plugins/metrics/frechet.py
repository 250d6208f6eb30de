"""The Fréchet distance, FID over Inception features."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Batch, Estimate, Metric

if TYPE_CHECKING:
    from noisette.contracts.metric import State

__all__ = ["Frechet"]


class Frechet(Metric):
    """Squared Fréchet distance of two Gaussians with the mean and covariance of the features; FID over Inception.

    It is biased upwards, the more so the fewer the pictures, and most with fewer pictures than dimensions:
    compare only values of the same counts, beside that of real pictures. It has no standard error here.
    """

    name: ClassVar[str] = "frechet"
    paper: ClassVar[str] = "Heusel et al. 2017, eq. 6; Dowson & Landau 1982; the bias: Chong & Forsyth 2020"
    over_inception: ClassVar[dict[str, str]] = {"frechet": "fid"}

    def update(self, state: State, batch: Batch) -> State:
        """Return count (), mean (D,) and scatter (D, D) of the features in float64, those of `batch` added."""
        from noisette_plugins.metrics.moments import merged, moments
        from noisette_plugins.metrics.rows import features_of

        return merged(state, moments(features_of(batch)))

    def merge(self, a: State, b: State) -> State:
        """Return the moments of both sets together."""
        from noisette_plugins.metrics.moments import merged

        return merged(a, b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `frechet`.

        Raises:
            DataError: if a set has fewer than 2 pictures, or features of another length.
        """
        from noisette_plugins.metrics.moments import frechet_distance

        return {"frechet": Estimate(frechet_distance(generated, reference))}
