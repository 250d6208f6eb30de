"""The training loss on held-out images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt

from noisette import Batch, Curve, Estimate, ModelMetric

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["HeldOutLoss"]


class HeldOutLoss(ModelMetric):
    """The objective's loss on held-out images: its mean, and a curve by timestep.

    Timesteps are evenly spaced, whatever the training samples. If it is far above the training loss, the model has
    memorised its images.
    """

    name: ClassVar[str] = "held-out-loss"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, eq. 14; by step: Nichol & Dhariwal 2021, figure 2"

    terms: PositiveInt | None = Field(
        50, description="timesteps at which each image is evaluated, evenly spread; null: all"
    )

    def update(self, state: State, batch: Batch) -> State:
        """Return the sums over the images so far, including `batch`: as in `likelihood`, with one total."""
        from noisette_plugins.metrics.model_terms import add_states, loss_sums

        return add_states(state, loss_sums(batch, self.terms))

    def merge(self, a: State, b: State) -> State:
        """Return the sums of both sets together."""
        from noisette_plugins.metrics.model_terms import add_states

        return add_states(a, b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `held_out_loss`, the mean over timesteps and images, with its standard error over images.

        Raises:
            DataError: if there are fewer than 2 images.
        """
        from noisette_plugins.metrics.model_terms import estimate_means

        return {"held_out_loss": estimate_means(generated)[0]}

    def curves(self, seen: State) -> dict[str, Curve]:
        """Return `held_out_loss_by_step`, averaged over images, in up to 100 spans of timesteps."""
        from noisette_plugins.metrics.model_terms import curve_by_step

        return {"held_out_loss_by_step": curve_by_step(seen)}
