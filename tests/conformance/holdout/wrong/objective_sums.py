"""Predict the noise under the squared norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class Sums(Objective):
    """Predict the noise under the squared norm."""

    name: ClassVar[str] = "eps-norm"
    needs_signal: ClassVar[bool] = True

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return eps."""
        return eps

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as eps."""
        from noisette import Prediction

        return Prediction(x_t, alpha, sigma, eps=output)

    def losses(self, output: Tensor, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the squared norms."""
        each = (output - eps).square().sum(dim=(1, 2, 3))
        return each if self.weight == "none" else each * self.weights(alpha, sigma)


KIND = "objective"
PLUGIN = Sums
CAUSE = (
    "losses are summed over an image's values where the contract averages: the loss, and with it the "
    "learning, grows with the size of the image"
)
WORDS = ("mean", "average", "sum", "size")
