"""The variational bound on the negative log-likelihood, in bits per dimension.

    -log p(x_0) <= L_T + sum_{t >= 1} L_t + L_0        (Ho et al. 2020, eq. 5, with steps counted from 0)

    L_T   KL(q(x_{T-1} | x_0) || N(0, 1)): nothing is learned
    L_t   KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)): two Gaussians whose means differ by c_0 (x_0 - x0 seen)
    L_0   -log p(x_0 | x at step 0): a Gaussian integrated over the bins of 8-bit values (eq. 13)

The variance of p is that of the posterior ("fixed-small"), beta ("fixed-large"), or between both in the
logarithm, at the fractions that the network gives (Nichol & Dhariwal 2021, eq. 15). At step 0, where the
posterior has none, all take the posterior's of step 1.
"""

from __future__ import annotations

from functools import lru_cache
from math import log
from typing import Literal

import torch
from torch import Tensor

from noisette.diffusion.process import Process

__all__ = ["VariationalBound", "get_bound"]

_BIN = 1 / 255  # half the width of a bin of 8-bit values on [-1, 1]


class VariationalBound:
    """The terms of the bound for one process.

    Args:
        process: the tables.
        variance: the variance of p where the network gives no fractions.
    """

    def __init__(self, process: Process, variance: Literal["fixed-small", "fixed-large"] = "fixed-small") -> None:
        self.process, self.variance = process, variance
        rows = [process.posterior(t, t - 1) for t in range(len(process))]
        posterior = torch.tensor([row.variance for row in rows], dtype=torch.float64)
        posterior[0] = posterior[1] if len(rows) > 1 else process.betas[0]
        self._x0_coef = torch.tensor([row.x0_coef for row in rows], dtype=torch.float64)
        self._smallest = posterior.log()
        self._largest = torch.cat([posterior[:1], process.betas[1:]]).log()
        self._width = self._largest - self._smallest  # in float32 the difference of both would be rounding, late on

    def prior(self, x0: Tensor) -> Tensor:
        """Return L_T of images (N, C, H, W) in [-1, 1], (N,) in bits per dimension."""
        alpha, sigma = self.process(len(self.process) - 1)
        nats = (alpha**2 * x0**2 + sigma**2 - 1 - 2 * log(sigma)) / 2
        return _bits_per_dim(nats)

    def terms(self, x0: Tensor, t: Tensor, x0_pred: Tensor, variance_fraction: Tensor | None = None) -> Tensor:
        """Return L_t of each image at its own step, (N,) in bits per dimension.

        Args:
            x0: images in [-1, 1], (N, C, H, W).
            t: their steps, (N,) int64; where it is 0, L_0.
            x0_pred: the x0 that the denoiser saw in x_t, like x0.
            variance_fraction: where the learned variance lies between the posterior's (0) and beta (1), like x0.
        """
        log_variance = self.log_variance(t, x0, variance_fraction)
        divergence = self._divergence(x0, t, x0_pred, log_variance)
        if not bool((t == 0).any()):
            return divergence
        return torch.where(t == 0, _bits_per_dim(-_log_likelihood(x0, x0_pred, log_variance)), divergence)

    def log_variance(self, t: Tensor, like: Tensor, variance_fraction: Tensor | None = None) -> Tensor:
        """Return the log of p's variance, (N, 1, 1, 1), or (N, C, H, W) where fractions are given."""
        if variance_fraction is not None:
            return _gather(self._smallest, t, like) + variance_fraction * _gather(self._width, t, like)
        return _gather(self._smallest if self.variance == "fixed-small" else self._largest, t, like)

    def _divergence(self, x0: Tensor, t: Tensor, x0_pred: Tensor, log_variance: Tensor) -> Tensor:
        true = _gather(self._smallest, t, x0)
        difference = _gather(self._x0_coef, t, x0) * (x0 - x0_pred)
        ratio = (true - log_variance).exp()
        return _bits_per_dim((log_variance - true + ratio + difference**2 * (-log_variance).exp() - 1) / 2)


@lru_cache(maxsize=8)
def get_bound(
    process: Process, variance: Literal["fixed-small", "fixed-large"] = "fixed-small"
) -> VariationalBound:
    """Return the bound of a process, made once."""
    return VariationalBound(process, variance)


def _log_likelihood(x0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the log of the Gaussian's share in the bin of each value; the first and last bin have no end."""
    rate = (-log_variance / 2).exp()
    above, below = (x0 - mean + _BIN) * rate, (x0 - mean - _BIN) * rate
    # far out on the right both shares round to 1: mirror them to the left, where they keep their digits
    upper, lower = torch.where(above + below > 0, -below, above), torch.where(above + below > 0, -above, below)
    inside = torch.special.log_ndtr(upper) + torch.log1p(
        -(torch.special.log_ndtr(lower) - torch.special.log_ndtr(upper)).exp().clamp(max=1 - 1e-7)
    )
    inside = torch.where(x0 < -1 + _BIN, torch.special.log_ndtr(above), inside)
    return torch.where(x0 > 1 - _BIN, torch.special.log_ndtr(-below), inside)


def _gather(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    return table.to(like)[t].view(-1, *[1] * (like.ndim - 1))


def _bits_per_dim(nats: Tensor) -> Tensor:
    """Return the mean over each image's values, in bits, (N,)."""
    return nats.flatten(1).mean(dim=1) / log(2)
