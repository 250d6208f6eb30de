"""Predict the velocity, weighted by signal to noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class MinSNROfEps(Objective):
    """Predict the velocity, weighted by signal to noise."""

    name: ClassVar[str] = "v-min-snr"
    paper: ClassVar[str] = "Hang et al. 2023, eq. 8"

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return v."""
        return alpha * eps - sigma * x0

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as v."""
        from noisette import Prediction

        return Prediction.from_v(x_t, alpha, sigma, output)

    def weights(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the weights."""
        if self.weight != "min-snr":
            return super().weights(alpha, sigma)
        snr = (alpha / sigma) ** 2
        return (snr.clamp(max=self.min_snr) / snr.clamp(min=1e-8)).flatten()


KIND = "objective"
PLUGIN = MinSNROfEps
CAUSE = (
    "the min-snr weight is that of an objective of eps, min(snr, gamma) / snr, but the output is v, whose"
    " weight has snr + 1 below"
)
WORDS = ("weight", "min-snr", "snr")
