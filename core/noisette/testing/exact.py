"""Denoisers that are exactly right: E[x_0 | x_t] of a known law, in closed form, and no network."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from noisette.diffusion import Denoiser, Prediction, Tables
from noisette.testing.laws import Labelled, Mixture

__all__ = ["Calls", "Exact", "ExactLabelled", "Slope", "fraction"]


class Exact(Denoiser):
    """The exact denoiser of a law, for the process of `schedule`."""

    def __init__(self, law: Mixture, schedule: Tables) -> None:
        self.law, self.schedule = law, schedule

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return E[x_0 | x_t] and E[eps | x_t], (N, C, H, W) in x_t's dtype."""
        alpha, sigma = self.schedule(t)
        x0, eps = self.law.denoised(x_t, alpha, sigma)
        return Prediction(x_t, alpha, sigma, x0=x0, eps=eps, fractions=self._fractions(x_t, t))

    def _fractions(self, x_t: Tensor, t: int) -> Tensor:
        """Return where the true reverse variance of each value lies; of a mixture, the largest."""
        if len(self.law.weights) > 1:
            return torch.ones_like(x_t)
        left = self.law.remaining_variance(*self.schedule(t))
        return (
            torch.tensor([fraction(self.schedule, t, v) for v in left.tolist()], dtype=torch.float64)
            .to(x_t)
            .view(1, *self.law.shape)
        )


class ExactLabelled(Denoiser):
    """The exact denoiser of each picture's own label, (N,) int64; label `classes` is the marginal law."""

    def __init__(self, law: Labelled, schedule: Tables, label: Tensor) -> None:
        self.schedule, self.label = schedule, label
        self._groups = [(law.given(one), (label == one).nonzero().flatten()) for one in sorted(set(label.tolist()))]

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return what each picture's law says; x_t must have as many pictures as there are labels."""
        alpha, sigma = self.schedule(t)
        x0, eps = torch.empty_like(x_t), torch.empty_like(x_t)
        for law, rows in self._groups:
            x0[rows], eps[rows] = law.denoised(x_t[rows], alpha, sigma)
        return Prediction(x_t, alpha, sigma, x0=x0, eps=eps, fractions=torch.ones_like(x_t))


class Slope(Denoiser):
    """The exact denoiser of independent values of variance 1/2 about 1/4, from products and sums alone.

    Its bits do not depend on the batch, as those of matrix products may, and it works on any device. It speaks
    as a network that predicts v, which stays finite where no signal is left.
    """

    MEAN, VARIANCE = 0.25, 0.5

    def __init__(self, schedule: Tables) -> None:
        self.schedule = schedule

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return E[x_0 | x_t], (N, C, H, W) of any shape."""
        alpha, sigma = self.schedule(t)
        gain = 1.0 / (alpha**2 * self.VARIANCE + sigma**2)
        away = x_t - alpha * self.MEAN
        x0 = (alpha * self.VARIANCE * gain) * away + self.MEAN
        eps = (sigma * gain) * away
        prediction = Prediction.from_v(x_t, alpha, sigma, alpha * eps - sigma * x0)
        left = self.VARIANCE * sigma**2 * gain
        prediction.fractions = torch.full_like(x_t, fraction(self.schedule, t, left))
        return prediction


def fraction(schedule: Tables, t: int, left: float) -> float:
    """Return where the variance of the true reverse step from t lies between the posterior's (0) and beta (1).

    The true step has the posterior's variance and that of its mean, c_0² Var(x_0 | x_t); `left` is the latter's
    Var(x_0 | x_t). At step 0 the posterior has no variance: 0.
    """
    if t == 0:
        return 0.0
    posterior, largest = schedule.posterior(t, t - 1), log(schedule.jump(t, t - 1))
    least, true = log(posterior.variance), log(posterior.variance + posterior.x0**2 * left)
    return (true - least) / (largest - least)


class Calls(Denoiser):
    """A denoiser that notes at which steps it was called, and keeps what it was given and what it said.

    Attributes:
        steps: the steps of all calls, in order.
        seen: for each call, the tensors that passed and copies made at the time.
    """

    def __init__(self, denoise: Denoiser, *, keep: bool = False) -> None:
        self.denoise, self.schedule, self.keep = denoise, denoise.schedule, keep
        self.steps: list[int] = []
        self.seen: list[tuple[Tensor, Tensor]] = []

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Ask the denoiser within."""
        self.steps.append(t)
        prediction = self.denoise(x_t, t)
        if self.keep:
            self.seen += [(part, part.clone()) for part in (x_t, prediction.x0, prediction.eps)]
        return prediction
