"""Predict the noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class EpsEverywhere(Objective):
    """Predict the noise."""

    name: ClassVar[str] = "noise"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, eq. 14"

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return eps."""
        return eps

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as eps."""
        from noisette import Prediction

        return Prediction(x_t, alpha, sigma, eps=output)


KIND = "objective"
PLUGIN = EpsEverywhere
CAUSE = "it needs signal but does not declare needs_signal, so it is let run with schedules that end in pure noise"
WORDS = ("needs_signal", "signal", "finite", "NaN")
