"""Predict v; channels weigh as the eye sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class Luma(Objective):
    """Predict v; channels weigh as the eye sees them."""

    name: ClassVar[str] = "v-luma"

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return v."""
        return alpha * eps - sigma * x0

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as v."""
        from noisette import Prediction

        return Prediction.from_v(x_t, alpha, sigma, output)

    def losses(self, output: Tensor, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the losses."""
        luma = output.new_tensor([0.299, 0.587, 0.114])[:, None, None]
        error = (output - self.target(x0, eps, alpha, sigma)).square() * 3 * luma
        each = error.flatten(1).mean(dim=1)
        return each if self.weight == "none" else each * self.weights(alpha, sigma)


KIND = "objective"
PLUGIN = Luma
CAUSE = "errors are weighted by the luma of three channels: it fails for two or four channels and triples grey ones"
WORDS = ("channel",)
