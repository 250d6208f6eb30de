"""Predict the velocity."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class VSign(Objective):
    """Predict the velocity."""

    name: ClassVar[str] = "v-sign"
    paper: ClassVar[str] = "Salimans & Ho 2022, appendix D"

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return v."""
        return alpha * eps - sigma * x0

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as v."""
        from noisette import Prediction

        return Prediction(x_t, alpha, sigma, x0=alpha * x_t + sigma * output)


KIND = "objective"
PLUGIN = VSign
CAUSE = "predict reads x0 = alpha x_t + sigma v; the sign of v is wrong"
WORDS = ("x0", "target", "predict", "round")
