"""Predict v under a Charbonnier loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class IgnoresWeight(Objective):
    """Predict v under a Charbonnier loss."""

    name: ClassVar[str] = "v-charbonnier"
    paper: ClassVar[str] = "Charbonnier et al. 1994"

    epsilon: float = Field(1e-3, gt=0, description="where the loss turns from square to straight")

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return v."""
        return alpha * eps - sigma * x0

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as v."""
        from noisette import Prediction

        return Prediction.from_v(x_t, alpha, sigma, output)

    def losses(self, output: Tensor, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the losses."""
        error = output - self.target(x0, eps, alpha, sigma)
        return ((error**2 + self.epsilon**2).sqrt() - self.epsilon).flatten(1).mean(dim=1)


KIND = "objective"
PLUGIN = IgnoresWeight
CAUSE = "the overridden losses ignore the options loss and weight: min-snr and p2 silently do nothing"
WORDS = ("weight", "option", "loss")
