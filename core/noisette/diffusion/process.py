"""The forward process, tabulated.

The process adds noise in T steps of variance beta_t (Ho et al. 2020, eq. 2 and 4):

    x_t = alpha_t x_0 + sigma_t eps,   alpha_t² = prod_{i<=t} (1 - beta_i),   sigma_t² = 1 - alpha_t²

Steps count from 0 to T-1, as networks are told them; the paper's t is one more. -1 is the clean image,
where alpha is 1 and sigma 0. (alpha_t is the factor of the image, the square root of the paper's
"alpha bar".)

The step from t back to any earlier s, given x_0, is Gaussian too (eq. 6 and 7, for s = t-1):

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
    """Everything that follows from the betas, in float64.

    Attributes:
        betas: (T,) float64, on the CPU like all tables.
        alphas, sigmas: (T + 1,) float64, the clean image's 1 and 0 at the end, so that index -1 is it.
        start: the step that walks begin at: T-1, or less for images noised to a given step.
    """

    def __init__(self, betas: Tensor, start: int | None = None) -> None:
        self.betas = _validate_betas(betas)
        zero = torch.zeros(1, dtype=torch.float64)
        self._log_squared = torch.cat([torch.log1p(-self.betas).cumsum(dim=0), zero])
        self.alphas = (self._log_squared / 2).exp()
        self.sigmas = (-torch.expm1(self._log_squared)).sqrt()  # exact where 1 - alpha² would be 0
        self.start = len(betas) - 1 if start is None else start
        self._factors = list(zip(self.alphas.tolist(), self.sigmas.tolist(), strict=True))
        self._logs: list[float] = self._log_squared.tolist()  # read one by one, a list is twenty times as fast
        self._casts: dict[tuple[torch.dtype, torch.device], tuple[Tensor, Tensor]] = {}

    def __len__(self) -> int:
        """T, the number of trained steps."""
        return len(self.betas)

    def __call__(self, t: int) -> tuple[float, float]:
        """Return (alpha_t, sigma_t)."""
        return self._factors[t]

    def alpha_sigma(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha and sigma of each image's own step, (N, 1, 1, 1), as `like`'s dtype and device."""
        alphas, sigmas = self._cast(like)
        shape = (-1, *[1] * (like.ndim - 1))
        return alphas[t].view(shape), sigmas[t].view(shape)

    def add_noise(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Return x_t of images and noise (N, C, H, W), each at its own step t (N,) (eq. 4)."""
        alpha, sigma = self.alpha_sigma(t, x0)
        return alpha * x0 + sigma * eps

    def posterior(self, t: int, s: int) -> Posterior:
        """Return the coefficients of q(x_s | x_t, x_0) for s < t (eq. 7)."""
        (_, sigma_t), (alpha_s, sigma_s) = self(t), self(s)
        fades = (self._logs[t] - self._logs[s]) / 2  # log of alpha_t / alpha_s
        beta = self.step_variance(t, s)
        shrink = (sigma_s / sigma_t) ** 2
        return Posterior(alpha_s * beta / sigma_t**2, exp(fades) * shrink, beta * shrink)

    def step_variance(self, t: int, s: int) -> float:
        """Return the variance that the forward process adds from s to t: 1 - alpha_t² / alpha_s²."""
        return -expm1(self._logs[t] - self._logs[s])

    def half_log_snr(self, t: int) -> float:
        """Return lambda_t = log(alpha_t / sigma_t), the time of exponential integrators; infinity at -1."""
        alpha, sigma = self(t)
        if sigma == 0:
            return inf
        return self._logs[t] / 2 - log(sigma) if alpha > 0 else -inf

    def timesteps(self, steps: int, spacing: Spacing = "linspace") -> list[int]:
        """Return a descending walk of `steps` steps that ends at -1; see `noisette.diffusion.spacing`.

        A table that starts below T-1 spreads the steps over the part that is left; of steps that are given, those
        below its start are left, behind the start.
        """
        left = self.start + 1
        if isinstance(spacing, str):
            return space_timesteps(left, min(steps, left) if left < len(self) else steps, spacing, self.ratios)
        if left < len(self):
            spacing = (self.start, *(t for t in spacing if t < self.start))
        return space_timesteps(len(self), steps, spacing)

    def truncate(self, t: int) -> Process:
        """Return the same tables with walks that begin at step t: for images noised to t, not to T-1."""
        if not 0 <= t < len(self):
            raise ValueError(f"start: expected a step within [0, {len(self)}); got {t}")
        return Process(self.betas, t)

    @cached_property
    def ratios(self) -> list[float]:
        """sigma / alpha of each step, rising, (T,); infinite where no signal is left."""
        return [sigma / alpha if alpha > 0 else inf for alpha, sigma in self._factors[:-1]]

    @property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio alpha² / sigma² of each step, (T,) float64."""
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
    inside = (betas > 0) & (betas < 1)
    inside[-1] |= betas[-1] == 1
    if not bool(inside.all()):
        wrong = {t: betas[t].item() for t in (~inside).nonzero().flatten().tolist()[:3]}
        raise PluginError(
            "schedule: expected each beta in (0, 1), only the last may be 1; "
            f"got {', '.join(f'{beta:g} at step {t}' for t, beta in wrong.items())}"
        )
    return betas
