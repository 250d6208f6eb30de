"""Predict the clean image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class X0NeedsSignal(Objective):
    """Predict the clean image."""

    name: ClassVar[str] = "clean"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, section 3.2"
    needs_signal: ClassVar[bool] = True

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return x0."""
        return x0

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as x0."""
        from noisette import Prediction

        return Prediction(x_t, alpha, sigma, x0=output)


KIND = "objective"
PLUGIN = X0NeedsSignal
CAUSE = (
    "it declares needs_signal although the output is x0 itself, so valid configs with zero terminal "
    "signal are refused"
)
WORDS = ("needs_signal", "signal")
