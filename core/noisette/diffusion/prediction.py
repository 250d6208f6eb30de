"""What a denoiser says about x_t, in every dialect.

One of (x0, eps, v) and x_t give the others, as x_t = alpha x0 + sigma eps and v = alpha eps - sigma x0
(Salimans & Ho 2022, appendix D). Each is computed when it is first asked for.
"""

from __future__ import annotations

from functools import lru_cache
from math import log

import torch
from torch import Tensor

from noisette.diffusion.process import Tables
from noisette.errors import PluginError

__all__ = ["Prediction", "log_variance", "read_fractions"]

_SPREAD = 4.0
"""The largest variance of values of x_0 where x_t is known."""


def read_fractions(told: Tensor, t: int | Tensor, schedule: Tables, *, direct: bool = False) -> Tensor:
    """Return the fractions that a network tells, (N, C, H, W).

    Args:
        told: what it gave, (N, C, H, W).
        t: the step of all pictures, or (N,) int64.
        schedule: the process.
        direct: `told` is the logarithm of the variance itself, of the step to t-1. At step 0, where the posterior
            has none, the fraction is 0.
    """
    if not direct:
        return (told + 1) / 2
    least, width = (part.to(told)[t].view(-1, *[1] * (told.ndim - 1)) for part in _range(schedule))
    return torch.where(width > 0, (told - least) / width.clamp(min=1e-12), 0.0)


def log_variance(fractions: Tensor | None, schedule: Tables, t: int, s: int) -> Tensor:
    """Return the log of the variance of the reverse step from t to s, 0 <= s < t, like `fractions`.

    That of a jump is bounded to what a law can ask for whose values have a variance of at most 4 where x_t is known
    (that of pictures in [-1, 1] is at most 1): the posterior's variance, and that of its mean. Late in the process
    the ends of a single step are all but equal, so that the slightest error of a network that tells logarithms is
    thousands of fractions, which would be no small error over a jump, whose ends lie further apart.

    Raises:
        PluginError: if there are no fractions, because the network learned no variance.
    """
    if fractions is None:
        raise PluginError(
            "the denoiser tells no variance: expected a network trained with objective.bound=hybrid or full"
        )
    posterior = schedule.posterior(t, s)
    least, largest = log(posterior.variance), log(schedule.jump(t, s))
    told = least + fractions * (largest - least)
    return told if s == t - 1 else told.clamp(least, log(posterior.variance + _SPREAD * posterior.x0**2))


@lru_cache(maxsize=8)
def _range(schedule: Tables) -> tuple[Tensor, Tensor]:
    """Return the least log variance of each step to the one before, and how far the largest lies above, (T,)."""
    steps = range(1, len(schedule))
    least = [log(schedule.posterior(t, t - 1).variance) for t in steps]
    width = [log(schedule.jump(t, t - 1)) - low for t, low in zip(steps, least, strict=True)]
    return torch.tensor([0.0, *least], dtype=torch.float64), torch.tensor([0.0, *width], dtype=torch.float64)


class Prediction:
    """The denoiser's view of x_t at one step, all tensors (N, C, H, W).

    Attributes:
        x_t: the noisy picture.
        alpha, sigma: the factors of picture and noise in it.
        fractions: where the network tells the variance of the reverse step: how far it lies, in the logarithm, from
            the posterior's (0) to beta (1). So it serves for any jump (Nichol & Dhariwal 2021, eq. 15).
    """

    __slots__ = ("_eps", "_x0", "alpha", "fractions", "sigma", "x_t")

    def __init__(
        self,
        x_t: Tensor,
        alpha: float,
        sigma: float,
        *,
        x0: Tensor | None = None,
        eps: Tensor | None = None,
        fractions: Tensor | None = None,
    ) -> None:
        if x0 is None and eps is None:
            raise ValueError("a prediction needs x0 or eps; got neither")
        self.x_t, self.alpha, self.sigma = x_t, alpha, sigma
        self.fractions = fractions
        self._x0, self._eps = x0, eps

    @classmethod
    def from_v(cls, x_t: Tensor, alpha: float, sigma: float, v: Tensor) -> Prediction:
        """Read a velocity: x0 = alpha x_t - sigma v, eps = sigma x_t + alpha v."""
        return cls(x_t, alpha, sigma, x0=alpha * x_t - sigma * v, eps=sigma * x_t + alpha * v)

    @property
    def x0(self) -> Tensor:
        """The clean picture that it sees."""
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
        """Return the prediction whose picture is `x0`; its noise is derived again, so that both agree."""
        return Prediction(self.x_t, self.alpha, self.sigma, x0=x0, fractions=self.fractions)
