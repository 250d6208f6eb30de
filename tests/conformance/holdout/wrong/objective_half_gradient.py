"""Predict the noise; the error weighs itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class HalfGradient(Objective):
    """Predict the noise; the error weighs itself."""

    name: ClassVar[str] = "eps-self-weighted"
    needs_signal: ClassVar[bool] = True

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return eps."""
        return eps

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as eps."""
        from noisette import Prediction

        return Prediction(x_t, alpha, sigma, eps=output)

    def losses(self, output: Tensor, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the squared errors."""
        if self.loss != "mse":
            return super().losses(output, x0, eps, alpha, sigma)
        error = output - self.target(x0, eps, alpha, sigma)
        each = (error.detach() * error).flatten(1).mean(dim=1)
        return each if self.weight == "none" else each * self.weights(alpha, sigma)


KIND = "objective"
PLUGIN = HalfGradient
CAUSE = (
    "one factor of the squared error is detached, so the value is right and the gradient half of it: half"
    " the learning rate, and the bound of the hybrid weighs twice"
)
WORDS = ("gradient", "detach")
