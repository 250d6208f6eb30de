"""Predictions: x0, eps and v of a noisy image x_t.

One of them and x_t give the others, as x_t = alpha x0 + sigma eps and v = alpha eps - sigma x0 (Salimans & Ho 2022,
appendix D). Each is computed on first access.
"""

from __future__ import annotations

from functools import lru_cache
from math import log

import torch
from torch import Tensor

from noisette.diffusion.process import Process
from noisette.errors import PluginError

__all__ = ["Prediction", "log_variance", "parse_variance"]

_MAX_X0_VARIANCE = 4.0
"""Largest variance of the values of x_0 given x_t."""


def parse_variance(raw: Tensor, t: int | Tensor, process: Process, *, direct: bool = False) -> Tensor:
    """Return the variance fractions that a network predicts, (N, C, H, W); see `Prediction.variance_fraction`.

    Args:
        raw: the network's output, (N, C, H, W).
        t: timestep of all images, or (N,) int64.
        process: the forward process.
        direct: whether `raw` is the log variance of the step to t-1 itself. The fraction is then 0 at timestep 0,
            where the posterior has no variance.
    """
    if not direct:
        return (raw + 1) / 2
    least, width = (part.to(raw)[t].view(-1, *[1] * (raw.ndim - 1)) for part in _log_variance_range(process))
    return torch.where(width > 0, (raw - least) / width.clamp(min=1e-12), 0.0)


def log_variance(variance_fraction: Tensor | None, process: Process, t: int, s: int) -> Tensor:
    """Return the log variance of the reverse step from t to s, 0 <= s < t, like `variance_fraction`.

    The variance of a step over several timesteps is limited to the posterior's plus that of its mean, for an x_0
    whose variance given x_t is at most 4 (that of images in [-1, 1] is at most 1). Late in the process, the two
    ends of a single step are almost equal. A tiny error of a network that predicts logarithms is then thousands of
    fractions, which over a longer step, whose ends differ more, would be a large error.

    Raises:
        PluginError: if there are no fractions, as the network did not learn the variance.
    """
    if variance_fraction is None:
        raise PluginError(
            "expected a network that learned the variance (objective.bound=hybrid or full); got one without"
        )
    posterior = process.posterior(t, s)
    least, largest = log(posterior.variance), log(process.step_variance(t, s))
    raw = least + variance_fraction * (largest - least)
    return (
        raw if s == t - 1 else raw.clamp(least, log(posterior.variance + _MAX_X0_VARIANCE * posterior.x0_coef**2))
    )


@lru_cache(maxsize=8)
def _log_variance_range(process: Process) -> tuple[Tensor, Tensor]:
    """Return the posterior's log variance of each step to t-1, and how much larger beta's is, (T,)."""
    steps = range(1, len(process))
    least = [log(process.posterior(t, t - 1).variance) for t in steps]
    width = [log(process.step_variance(t, t - 1)) - low for t, low in zip(steps, least, strict=True)]
    return torch.tensor([0.0, *least], dtype=torch.float64), torch.tensor([0.0, *width], dtype=torch.float64)


class Prediction:
    """What a denoiser predicts at x_t; all tensors are (N, C, H, W).

    Attributes:
        x_t: the noisy image.
        alpha, sigma: the factors of the image and of the noise in x_t.
        variance_fraction: if the network learned the variance of the reverse step, where its logarithm lies between
            the posterior's (0) and beta's (1); a fraction holds for jumps too (Nichol & Dhariwal 2021, eq. 15).
    """

    __slots__ = ("_eps", "_x0", "alpha", "sigma", "variance_fraction", "x_t")

    def __init__(
        self,
        x_t: Tensor,
        alpha: float,
        sigma: float,
        *,
        x0: Tensor | None = None,
        eps: Tensor | None = None,
        variance_fraction: Tensor | None = None,
    ) -> None:
        if x0 is None and eps is None:
            raise ValueError("a prediction needs x0 or eps; got neither")
        self.x_t, self.alpha, self.sigma = x_t, alpha, sigma
        self.variance_fraction = variance_fraction
        self._x0, self._eps = x0, eps

    @classmethod
    def from_v(cls, x_t: Tensor, alpha: float, sigma: float, v: Tensor) -> Prediction:
        """Return the prediction of a velocity: x0 = alpha x_t - sigma v, eps = sigma x_t + alpha v."""
        return cls(x_t, alpha, sigma, x0=alpha * x_t - sigma * v, eps=sigma * x_t + alpha * v)

    @property
    def x0(self) -> Tensor:
        """The predicted clean image."""
        if self._x0 is None:
            self._x0 = (self.x_t - self.sigma * self._eps) / self.alpha  # type: ignore[operator]
        return self._x0

    @property
    def eps(self) -> Tensor:
        """The predicted noise."""
        if self._eps is None:
            self._eps = (self.x_t - self.alpha * self._x0) / self.sigma  # type: ignore[operator]
        return self._eps

    @property
    def v(self) -> Tensor:
        """The predicted velocity, alpha eps - sigma x0."""
        return self.alpha * self.eps - self.sigma * self.x0

    def with_x0(self, x0: Tensor) -> Prediction:
        """Return the prediction with another `x0`; eps is derived from it, so that both agree."""
        return Prediction(self.x_t, self.alpha, self.sigma, x0=x0, variance_fraction=self.variance_fraction)
