"""Predict v with a weight that damps clean steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class WeightOuter(Objective):
    """Predict v with a weight that damps clean steps."""

    name: ClassVar[str] = "v-damped"

    damping: float = Field(0.5, ge=0, le=1, description="how much clean steps are damped")

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return v."""
        return alpha * eps - sigma * x0

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as v."""
        from noisette import Prediction

        return Prediction.from_v(x_t, alpha, sigma, output)

    def losses(self, output: Tensor, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the damped losses."""
        losses = super().losses(output, x0, eps, alpha, sigma) * (1 - self.damping * alpha**2)
        return losses if losses.ndim == 1 else losses.flatten(1).mean(dim=1)


KIND = "objective"
PLUGIN = WeightOuter
CAUSE = "weights (N, 1, 1, 1) are multiplied with losses (N,), which gives an outer product of all images with all"
WORDS = ("shape", "(N", "weight")
