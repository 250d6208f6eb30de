"""Likelihood of real images under a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveInt

from noisette import Batch, Curve, Estimate, ModelMetric

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["Likelihood"]


class Likelihood(ModelMetric):
    """Variational bound on the negative log-likelihood of held-out images, in bits per dimension, and its parts.

    `bits_per_dim` is the sum of `bits_per_dim_prior` (L_T), `bits_per_dim_steps` (L_1 to L_T-1) and
    `bits_per_dim_first` (L_0), each with the standard error over images. With fewer `terms` than timesteps, the
    timesteps are divided into as many intervals, and each image is evaluated at one timestep of each: an unbiased
    estimate, whose standard error includes this choice. The curve is L_t by timestep.
    """

    name: ClassVar[str] = "likelihood"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, eq. 5 and 13; Nichol & Dhariwal 2021, section 3.1"

    terms: PositiveInt | None = Field(
        50, description="timesteps at which each image is evaluated, evenly spread; null: all"
    )
    clip: bool = Field(True, description="keep the images that the model sees within [-1, 1]")
    variance: Literal["fixed-small", "fixed-large"] = Field(
        "fixed-small", description="variance of the reverse steps, where the model learned none"
    )

    def update(self, state: State, batch: Batch) -> State:
        """Return the sums over the images so far, with those of `batch` added.

        Total, prior, timesteps and first term, and their squares, (4,) each, in float64; the count; and sum,
        squares and count of the terms at each timestep, (T,).
        """
        from noisette_plugins.metrics.model_terms import add_states, bound_sums

        return add_states(state, bound_sums(batch, self.terms, self.variance, clip=self.clip))

    def merge(self, a: State, b: State) -> State:
        """Return the sums of both sets together."""
        from noisette_plugins.metrics.model_terms import add_states

        return add_states(a, b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return the bound and its three parts.

        Raises:
            DataError: if there are fewer than 2 images.
        """
        from noisette_plugins.metrics.model_terms import estimate_means

        names = ("bits_per_dim", "bits_per_dim_prior", "bits_per_dim_steps", "bits_per_dim_first")
        return dict(zip(names, estimate_means(generated), strict=True))

    def curves(self, seen: State) -> dict[str, Curve]:
        """Return `bits_per_dim_by_step`: L_t, averaged over images, in up to 100 spans of timesteps."""
        from noisette_plugins.metrics.model_terms import curve_by_step

        return {"bits_per_dim_by_step": curve_by_step(seen)}
