"""The variational bound on the negative log-likelihood, in bits per dimension.

    -log p(x_0) <= L_T + sum_{t >= 1} L_t + L_0        (Ho et al. 2020, eq. 5, with timesteps from 0)

    L_T   KL(q(x_{T-1} | x_0) || N(0, 1)), which has no learned part
    L_t   KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)): two Gaussians, means apart by c_0 (x_0 - predicted x0)
    L_0   -log p(x_0 | x at timestep 0): a Gaussian integrated over the bins of 8-bit values (eq. 13)

The variance of p is the posterior's ("fixed-small"), beta ("fixed-large"), or an interpolation of both in the
logarithm by the fractions that the network predicts (Nichol & Dhariwal 2021, eq. 15). At timestep 0, where the
posterior has no variance, the posterior's of timestep 1 is taken.
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
        process: the forward process.
        variance: the variance of p if the network predicts no fractions.
    """

    def __init__(self, process: Process, variance: Literal["fixed-small", "fixed-large"] = "fixed-small") -> None:
        self.process, self.variance = process, variance
        rows = [process.posterior(t, t - 1) for t in range(len(process))]
        posterior = torch.tensor([row.variance for row in rows], dtype=torch.float64)
        posterior[0] = posterior[1] if len(rows) > 1 else process.betas[0]
        self._x0_coef = torch.tensor([row.x0_coef for row in rows], dtype=torch.float64)
        self._smallest = posterior.log()
        self._largest = torch.cat([posterior[:1], process.betas[1:]]).log()
        self._width = self._largest - self._smallest  # late in the process, float32 cannot hold the difference

    def prior(self, x0: Tensor) -> Tensor:
        """Return L_T of images (N, C, H, W) in [-1, 1], (N,) in bits per dimension."""
        alpha, sigma = self.process(len(self.process) - 1)
        nats = (alpha**2 * x0**2 + sigma**2 - 1 - 2 * log(sigma)) / 2
        return _bits_per_dim(nats)

    def terms(self, x0: Tensor, t: Tensor, x0_pred: Tensor, variance_fraction: Tensor | None = None) -> Tensor:
        """Return L_t of each image at its own timestep, (N,) in bits per dimension.

        Args:
            x0: images in [-1, 1], (N, C, H, W).
            t: their timesteps, (N,) int64; L_0 for timestep 0.
            x0_pred: the x0 predicted at x_t, like x0.
            variance_fraction: position of the learned log variance between the posterior's (0) and beta's (1), like
                x0.
        """
        log_variance = self.log_variance(t, x0, variance_fraction)
        divergence = self._divergence(x0, t, x0_pred, log_variance)
        if not bool((t == 0).any()):
            return divergence
        return torch.where(t == 0, _bits_per_dim(-_log_likelihood(x0, x0_pred, log_variance)), divergence)

    def log_variance(self, t: Tensor, like: Tensor, variance_fraction: Tensor | None = None) -> Tensor:
        """Return the log variance of p, (N, 1, 1, 1), or (N, C, H, W) with fractions."""
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
    """Return the bound of a process, from a cache."""
    return VariationalBound(process, variance)


def _log_likelihood(x0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the log probability of the bin of each value; the first and the last bin are open-ended."""
    rate = (-log_variance / 2).exp()
    above, below = (x0 - mean + _BIN) * rate, (x0 - mean - _BIN) * rate
    # far to the right both tails round to 1: mirror them to the left, where they keep their digits
    upper, lower = torch.where(above + below > 0, -below, above), torch.where(above + below > 0, -above, below)
    inside = torch.special.log_ndtr(upper) + torch.log1p(
        -(torch.special.log_ndtr(lower) - torch.special.log_ndtr(upper)).exp().clamp(max=1 - 1e-7)
    )
    inside = torch.where(x0 < -1 + _BIN, torch.special.log_ndtr(above), inside)
    return torch.where(x0 > 1 - _BIN, torch.special.log_ndtr(-below), inside)


def _gather(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    return table.to(like)[t].view(-1, *[1] * (like.ndim - 1))


def _bits_per_dim(nats: Tensor) -> Tensor:
    """Return the mean over the values of each image, in bits, (N,)."""
    return nats.flatten(1).mean(dim=1) / log(2)
