"""Predict by the angle between image and noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class FloatsOnly(Objective):
    """Predict by the angle between image and noise."""

    name: ClassVar[str] = "v-angle"
    paper: ClassVar[str] = "Salimans & Ho 2022, appendix D"

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return v."""
        return alpha * eps - sigma * x0

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Rotate back by the angle."""
        from noisette import Prediction

        angle = math.atan2(sigma, alpha)
        x0 = math.cos(angle) * x_t - math.sin(angle) * output
        return Prediction(x_t, alpha, sigma, x0=x0, eps=math.sin(angle) * x_t + math.cos(angle) * output)


KIND = "objective"
PLUGIN = FloatsOnly
CAUSE = (
    "predict uses math functions on alpha and sigma, so it fails for the tensors of training: weights and"
    " the learned variance are lost"
)
WORDS = ("tensor", "alpha", "float", "weight", "broadcast")
