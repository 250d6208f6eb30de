"""Predict what EDM's preconditioned network is trained on: part of the output is x_t itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class Preconditioned(Objective):
    """Predict what EDM's preconditioned network is trained on: part of the output is x_t itself.

    With unit total variance and data of standard deviation d: c_skip x_t + c_out output is x0, where c_skip is the
    regression of x0 on x_t, and c_out what is left of its standard deviation.
    """

    name: ClassVar[str] = "edm"
    paper: ClassVar[str] = "Karras, Aittala, Aila & Laine 2022, table 1"

    data: float = Field(0.5, gt=0, description="standard deviation of the images' values")

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return (x0 - c_skip x_t) / c_out."""
        skip, out = self._factors(alpha, sigma)
        return (x0 - skip * (alpha * x0 + sigma * eps)) / out

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read x0 = c_skip x_t + c_out output; where nothing but noise is left, the output is x0 / data."""
        from noisette import Prediction

        skip, out = self._factors(alpha, sigma)
        return Prediction(x_t, alpha, sigma, x0=skip * x_t + out * output)

    def _factors(self, alpha: Any, sigma: Any) -> tuple[Any, Any]:
        total = alpha**2 * self.data**2 + sigma**2
        return alpha * self.data**2 / total, sigma * self.data / total**0.5


KIND = "objective"
PLUGIN = Preconditioned
