"""Predict the velocity, without further memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class TargetInPlace(Objective):
    """Predict the velocity, without further memory."""

    name: ClassVar[str] = "v-frugal"
    paper: ClassVar[str] = "Salimans & Ho 2022, appendix D"

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return v."""
        return eps.mul_(alpha).sub_(sigma * x0)

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as v."""
        from noisette import Prediction

        return Prediction.from_v(x_t, alpha, sigma, output)


KIND = "objective"
PLUGIN = TargetInPlace
CAUSE = "the target is made in the memory of eps, which the caller still needs"
WORDS = ("in place", "in-place", "modif", "changed", "eps")
