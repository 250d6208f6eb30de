"""Predict the clean image under the root mean square."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class NaNGradient(Objective):
    """Predict the clean image under the root mean square."""

    name: ClassVar[str] = "x0-rms"

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return x0."""
        return x0

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as x0."""
        from noisette import Prediction

        return Prediction(x_t, alpha, sigma, x0=output)

    def losses(self, output: Tensor, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the root mean squares."""
        each = (output - x0).square().flatten(1).mean(dim=1).sqrt()
        return each if self.weight == "none" else each * self.weights(alpha, sigma)


KIND = "objective"
PLUGIN = NaNGradient
CAUSE = "the root of the squared norm has a gradient of NaN where output and target are equal"
WORDS = ("gradient", "NaN", "finite")
