"""EDM's preconditioned output, written so that it also works without signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import (
    Objective,
)

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class Edm(Objective):
    """EDM's preconditioned output, written so that it also works without signal."""

    name: ClassVar[str] = "edm-output"

    data: float = Field(0.5, gt=0, description="standard deviation of the images")

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return (sigma x0 - d² alpha eps) / (d sqrt(d² alpha² + sigma²))."""
        total = (self.data * alpha) ** 2 + sigma**2
        return (sigma * x0 - self.data**2 * alpha * eps) / (self.data * total**0.5)

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Return x0 = (d² alpha x_t + d sigma sqrt(total) output) / total, and its noise."""
        from noisette import Prediction

        total = (self.data * alpha) ** 2 + sigma**2
        x0 = (self.data**2 * alpha * x_t + self.data * sigma * total**0.5 * output) / total
        eps = (sigma * x_t - self.data * alpha * total**0.5 * output) / total
        return Prediction(x_t, alpha, sigma, x0=x0, eps=eps)


KIND = "objective"
PLUGIN = Edm
