"""Prediction of the clean image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction

__all__ = ["X0"]


class X0(Objective):
    """Predict the clean image x0."""

    name: ClassVar[str] = "x0"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, section 3.2"

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return x0, (N, C, H, W)."""
        return x0

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as x0; eps = (x_t - alpha x0) / sigma."""
        from noisette import Prediction

        return Prediction(x_t, alpha, sigma, x0=output)
