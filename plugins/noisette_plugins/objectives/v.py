"""Prediction of the velocity."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction

__all__ = ["V"]


class V(Objective):
    """Predict the velocity v = alpha eps - sigma x0, which is informative at all noise levels."""

    name: ClassVar[str] = "v"
    paper: ClassVar[str] = "Salimans & Ho 2022, section 4 and appendix D"

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return v, (N, C, H, W)."""
        return alpha * eps - sigma * x0

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as v; x0 = alpha x_t - sigma v, eps = sigma x_t + alpha v."""
        from noisette import Prediction

        return Prediction.from_v(x_t, alpha, sigma, output)
