"""What a denoiser says about x_t, in every dialect.

One of (x0, eps, v) and x_t give the others, as x_t = alpha x0 + sigma eps and v = alpha eps - sigma x0
(Salimans & Ho 2022, appendix D). Each is computed when it is first asked for.
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
"""The largest variance of values of x_0 where x_t is known."""


def parse_variance(raw: Tensor, t: int | Tensor, process: Process, *, direct: bool = False) -> Tensor:
    """Return the fractions that a network tells, (N, C, H, W).

    Args:
        raw: what it gave, (N, C, H, W).
        t: the step of all images, or (N,) int64.
        process: the process.
        direct: `raw` is the logarithm of the variance itself, of the step to t-1. At step 0, where the posterior
            has none, the fraction is 0.
    """
    if not direct:
        return (raw + 1) / 2
    least, width = (part.to(raw)[t].view(-1, *[1] * (raw.ndim - 1)) for part in _log_variance_range(process))
    return torch.where(width > 0, (raw - least) / width.clamp(min=1e-12), 0.0)


def log_variance(variance_fraction: Tensor | None, process: Process, t: int, s: int) -> Tensor:
    """Return the log of the variance of the reverse step from t to s, 0 <= s < t, like `variance_fraction`.

    That of a jump is bounded to what a law can ask for whose values have a variance of at most 4 where x_t is known
    (that of images in [-1, 1] is at most 1): the posterior's variance, and that of its mean. Late in the process
    the ends of a single step are all but equal, so that the slightest error of a network that tells logarithms is
    thousands of fractions, which would be no small error over a jump, whose ends lie further apart.

    Raises:
        PluginError: if there are no fractions, because the network learned no variance.
    """
    if variance_fraction is None:
        raise PluginError(
            "the denoiser tells no variance: expected a network trained with objective.bound=hybrid or full"
        )
    posterior = process.posterior(t, s)
    least, largest = log(posterior.variance), log(process.step_variance(t, s))
    raw = least + variance_fraction * (largest - least)
    return (
        raw if s == t - 1 else raw.clamp(least, log(posterior.variance + _MAX_X0_VARIANCE * posterior.x0_coef**2))
    )


@lru_cache(maxsize=8)
def _log_variance_range(process: Process) -> tuple[Tensor, Tensor]:
    """Return the least log variance of each step to the one before, and how far the largest lies above, (T,)."""
    steps = range(1, len(process))
    least = [log(process.posterior(t, t - 1).variance) for t in steps]
    width = [log(process.step_variance(t, t - 1)) - low for t, low in zip(steps, least, strict=True)]
    return torch.tensor([0.0, *least], dtype=torch.float64), torch.tensor([0.0, *width], dtype=torch.float64)


class Prediction:
    """The denoiser's view of x_t at one step, all tensors (N, C, H, W).

    Attributes:
        x_t: the noisy image.
        alpha, sigma: the factors of image and noise in it.
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
        """Read a velocity: x0 = alpha x_t - sigma v, eps = sigma x_t + alpha v."""
        return cls(x_t, alpha, sigma, x0=alpha * x_t - sigma * v, eps=sigma * x_t + alpha * v)

    @property
    def x0(self) -> Tensor:
        """The clean image that it sees."""
        if self._x0 is None:
            self._x0 = (self.x_t - self.sigma * self._eps) / self.alpha  # type: ignore[operator]
        return self._x0

    @property
    def eps(self) -> Tensor:
        """The noise that it sees."""
        if self._eps is None:
            self._eps = (self.x_t - self.alpha * self._x0) / self.sigma  # type: ignore[operator]
        return self._eps

    @property
    def v(self) -> Tensor:
        """The velocity alpha eps - sigma x0."""
        return self.alpha * self.eps - self.sigma * self.x0

    def with_x0(self, x0: Tensor) -> Prediction:
        """Return the prediction whose image is `x0`; its noise is derived again, so that both agree."""
        return Prediction(self.x_t, self.alpha, self.sigma, x0=x0, variance_fraction=self.variance_fraction)
