"""The forward process.

It adds noise in T steps of variance beta_t (Ho et al. 2020, eq. 2 and 4):

    x_t = alpha_t x_0 + sigma_t eps,   alpha_t² = prod_{i<=t} (1 - beta_i),   sigma_t² = 1 - alpha_t²

Timesteps count from 0 to T-1, as in the input of networks; the paper's t is one more. Timestep -1 is the clean
image, with alpha 1 and sigma 0. alpha_t is the factor of the image, the square root of the paper's "alpha bar".

The reverse step from t to any earlier s, given x_0, is Gaussian too (eq. 6 and 7, for s = t-1):

    q(x_s | x_t, x_0) = N(c_0 x_0 + c_t x_t, v),   beta = 1 - alpha_t² / alpha_s²
    c_0 = alpha_s beta / sigma_t²,   c_t = (alpha_t / alpha_s) sigma_s² / sigma_t²,   v = beta sigma_s² / sigma_t²
"""

from __future__ import annotations

from functools import cached_property
from math import exp, expm1, inf, log
from typing import NamedTuple

import torch
from torch import Tensor

from noisette.diffusion.spacing import Spacing, space_timesteps
from noisette.errors import PluginError

__all__ = ["Posterior", "Process"]


class Posterior(NamedTuple):
    """The Gaussian q(x_s | x_t, x_0): mean x0_coef * x_0 + xt_coef * x_t, and its variance."""

    x0_coef: float
    xt_coef: float
    variance: float


class Process:
    """The tables that follow from the betas, in float64 on the CPU.

    Args:
        betas: variances of the forward steps, (T,), each in (0, 1); the last may be 1.
        start: timestep at which trajectories begin; None for T-1.

    Attributes:
        betas: (T,) float64.
        alphas, sigmas: (T + 1,) float64; index -1 holds 1 and 0, those of the clean image.
        start: timestep at which trajectories begin: T-1, or less for images noised to a given timestep.

    Raises:
        PluginError: if the betas are out of range.
    """

    def __init__(self, betas: Tensor, start: int | None = None) -> None:
        self.betas = _validate_betas(betas)
        zero = torch.zeros(1, dtype=torch.float64)
        self._log_squared = torch.cat([torch.log1p(-self.betas).cumsum(dim=0), zero])
        self.alphas = (self._log_squared / 2).exp()
        self.sigmas = (-torch.expm1(self._log_squared)).sqrt()  # exact where 1 - alpha² would be 0
        self.start = len(betas) - 1 if start is None else start
        self._factors = list(zip(self.alphas.tolist(), self.sigmas.tolist(), strict=True))
        self._logs: list[float] = self._log_squared.tolist()  # for single items, a list is twenty times as fast
        self._casts: dict[tuple[torch.dtype, torch.device], tuple[Tensor, Tensor]] = {}

    def __len__(self) -> int:
        """T, the number of timesteps."""
        return len(self.betas)

    def __call__(self, t: int) -> tuple[float, float]:
        """Return (alpha_t, sigma_t)."""
        return self._factors[t]

    def alpha_sigma(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha and sigma at timesteps t (N,), each (N, 1, 1, 1), with the dtype and device of `like`."""
        alphas, sigmas = self._cast(like)
        shape = (-1, *[1] * (like.ndim - 1))
        return alphas[t].view(shape), sigmas[t].view(shape)

    def add_noise(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Return x_t of images and noise (N, C, H, W), each at its own timestep t (N,) (eq. 4)."""
        alpha, sigma = self.alpha_sigma(t, x0)
        return alpha * x0 + sigma * eps

    def posterior(self, t: int, s: int) -> Posterior:
        """Return the coefficients of q(x_s | x_t, x_0) for s < t (eq. 7)."""
        (_, sigma_t), (alpha_s, sigma_s) = self(t), self(s)
        log_ratio = (self._logs[t] - self._logs[s]) / 2  # of alpha_t / alpha_s
        beta = self.step_variance(t, s)
        shrink = (sigma_s / sigma_t) ** 2
        return Posterior(alpha_s * beta / sigma_t**2, exp(log_ratio) * shrink, beta * shrink)

    def step_variance(self, t: int, s: int) -> float:
        """Return the variance that the forward process adds from s to t: 1 - alpha_t² / alpha_s²."""
        return -expm1(self._logs[t] - self._logs[s])

    def half_log_snr(self, t: int) -> float:
        """Return lambda_t = log(alpha_t / sigma_t), half the log SNR; infinite at timestep -1."""
        alpha, sigma = self(t)
        if sigma == 0:
            return inf
        return self._logs[t] / 2 - log(sigma) if alpha > 0 else -inf

    def timesteps(self, steps: int, spacing: Spacing = "linspace") -> list[int]:
        """Return the descending timesteps of `steps` sampling steps and -1; see `noisette.diffusion.spacing`.

        A process that starts below T-1 spreads the steps over timesteps 0 ... start. Of explicit timesteps it takes
        `start` and those below.
        """
        left = self.start + 1
        if isinstance(spacing, str):
            return space_timesteps(left, min(steps, left) if left < len(self) else steps, spacing, self.ratios)
        if left < len(self):
            spacing = (self.start, *(t for t in spacing if t < self.start))
        return space_timesteps(len(self), steps, spacing)

    def truncate(self, t: int) -> Process:
        """Return the same process with trajectories that begin at timestep t, for images noised to t."""
        if not 0 <= t < len(self):
            raise ValueError(f"start: expected a timestep within [0, {len(self)}); got {t}")
        return Process(self.betas, t)

    @cached_property
    def ratios(self) -> list[float]:
        """sigma / alpha of each timestep, ascending, (T,); infinite without signal."""
        return [sigma / alpha if alpha > 0 else inf for alpha, sigma in self._factors[:-1]]

    @property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio alpha² / sigma² of each timestep, (T,) float64."""
        return (self.alphas[:-1] / self.sigmas[:-1]) ** 2

    def _cast(self, like: Tensor) -> tuple[Tensor, Tensor]:
        key = (like.dtype, like.device)
        if key not in self._casts:
            self._casts[key] = self.alphas.to(like), self.sigmas.to(like)
        return self._casts[key]


def _validate_betas(betas: Tensor) -> Tensor:
    if not isinstance(betas, Tensor) or betas.ndim != 1 or not len(betas):
        actual = f"shape {tuple(betas.shape)}" if isinstance(betas, Tensor) else type(betas).__name__
        raise PluginError(f"schedule: expected betas as a tensor of shape (T,); got {actual}")
    betas = betas.detach().to("cpu", torch.float64)
    valid = (betas > 0) & (betas < 1)
    valid[-1] |= betas[-1] == 1
    if not bool(valid.all()):
        wrong = {t: betas[t].item() for t in (~valid).nonzero().flatten().tolist()[:3]}
        raise PluginError(
            "schedule: expected each beta in (0, 1), only the last may be 1; "
            f"got {', '.join(f'{beta:g} at timestep {t}' for t, beta in wrong.items())}"
        )
    return betas
