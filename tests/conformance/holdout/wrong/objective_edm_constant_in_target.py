"""Predict EDM's F: what is left of x0 beside a share of x_t, at unit variance."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from noisette import Objective


class Preconditioned(Objective):
    """Predict EDM's F: what is left of x0 beside a share of x_t, at unit variance."""

    name: ClassVar[str] = "edm-f"
    paper: ClassVar[str] = "Karras, Aittala, Aila & Laine 2022, table 1, in variance-preserving factors"

    sigma_data: float = Field(0.5, gt=0, description="standard deviation of the images")

    def target(self, x0, eps, alpha, sigma):
        """Return (x0 - c_skip x_t) / c_out."""
        skip, out = _factors(alpha, sigma, 0.5)
        return (x0 - skip * (alpha * x0 + sigma * eps)) / out

    def predict(self, output, x_t, alpha, sigma):
        """Read the output: x0 = c_skip x_t + c_out F."""
        from noisette import Prediction

        skip, out = _factors(alpha, sigma, self.sigma_data)
        return Prediction(x_t, alpha, sigma, x0=skip * x_t + out * output)


def _factors(alpha, sigma, data):
    variance = alpha**2 * data**2 + sigma**2
    return alpha * data**2 / variance, sigma * data / variance**0.5


PLUGIN = Preconditioned
CAUSE = (
    "target has sigma_data of 0.5 written into it while predict reads the option: with any other value, "
    "the way back from a right output is not x0."
)
WORDS = ("sigma_data", "x0", "target", "recover", "back", "option")
