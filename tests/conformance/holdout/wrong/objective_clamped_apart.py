"""Predict the noise; the image is kept within [-1, 1]."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class ClampedApart(Objective):
    """Predict the noise; the image is kept within [-1, 1]."""

    name: ClassVar[str] = "eps-clamped"
    needs_signal: ClassVar[bool] = True

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return eps."""
        return eps

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as eps."""
        from noisette import Prediction

        return Prediction(x_t, alpha, sigma, x0=((x_t - sigma * output) / alpha).clamp(-1, 1), eps=output)


KIND = "objective"
PLUGIN = ClampedApart
CAUSE = "the predicted x0 is clamped and eps is the raw output: both together do not give x_t"
WORDS = ("x_t", "agree", "consist", "eps", "x0")
