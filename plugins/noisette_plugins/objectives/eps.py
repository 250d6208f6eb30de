"""Prediction of the noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction

__all__ = ["Eps"]


class Eps(Objective):
    """Predict the noise eps in x_t = alpha x0 + sigma eps."""

    name: ClassVar[str] = "eps"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, eq. 14"
    needs_signal: ClassVar[bool] = True

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return eps, (N, C, H, W)."""
        return eps

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as eps; x0 = (x_t - sigma eps) / alpha."""
        from noisette import Prediction

        return Prediction(x_t, alpha, sigma, eps=output)
