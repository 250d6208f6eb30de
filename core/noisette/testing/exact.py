"""Exact denoisers: E[x_0 | x_t] of a known distribution, in closed form, without a network."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from noisette.diffusion import Denoiser, Prediction, Process
from noisette.testing.distributions import LabelledMixture, Mixture

__all__ = ["AffineDenoiser", "CallRecorder", "ExactDenoiser", "ExactLabelledDenoiser", "variance_fraction"]


class ExactDenoiser(Denoiser):
    """The exact denoiser of a distribution, for the process of `process`."""

    def __init__(self, law: Mixture, process: Process) -> None:
        self.law, self.process = law, process
        self._known_fractions: dict[int, Tensor] = {}

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return E[x_0 | x_t] and E[eps | x_t], (N, C, H, W) in x_t's dtype."""
        alpha, sigma = self.process(t)
        x0, eps = self.law.denoise(x_t, alpha, sigma)
        return Prediction(x_t, alpha, sigma, x0=x0, eps=eps, variance_fraction=self._fractions(x_t, t))

    def _fractions(self, x_t: Tensor, t: int) -> Tensor:
        """Return the variance fraction of the true reverse step for each value; for a mixture, the largest."""
        if len(self.law.weights) > 1:
            return torch.ones_like(x_t)
        if t not in self._known_fractions:
            left = self.law.remaining_variance(*self.process(t)).tolist()
            fractions = [variance_fraction(self.process, t, variance) for variance in left]
            self._known_fractions[t] = torch.tensor(fractions, dtype=torch.float64).view(1, *self.law.shape)
        return self._known_fractions[t].to(x_t)


class ExactLabelledDenoiser(Denoiser):
    """The exact denoiser of each image's own label, (N,) int64; label `classes` is the marginal distribution."""

    def __init__(self, law: LabelledMixture, process: Process, label: Tensor) -> None:
        self.process, self.label = process, label
        self._groups = [
            (law.law_of(one), (label == one).nonzero().flatten()) for one in sorted(set(label.tolist()))
        ]

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the prediction for each image's label; x_t must have as many images as there are labels."""
        alpha, sigma = self.process(t)
        x0, eps = torch.empty_like(x_t), torch.empty_like(x_t)
        for law, rows in self._groups:
            x0[rows], eps[rows] = law.denoise(x_t[rows], alpha, sigma)
        return Prediction(x_t, alpha, sigma, x0=x0, eps=eps, variance_fraction=torch.ones_like(x_t))


class AffineDenoiser(Denoiser):
    """The exact denoiser of independent values of variance 1/2 about 1/4, from sums and products alone.

    Its bits do not depend on the batch, unlike those of matrix products, and it works on any device. It predicts v,
    which is finite even without signal.
    """

    MEAN, VARIANCE = 0.25, 0.5

    def __init__(self, process: Process) -> None:
        self.process = process

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return E[x_0 | x_t], (N, C, H, W) of any shape."""
        alpha, sigma = self.process(t)
        gain = 1.0 / (alpha**2 * self.VARIANCE + sigma**2)
        away = x_t - alpha * self.MEAN
        x0 = (alpha * self.VARIANCE * gain) * away + self.MEAN
        eps = (sigma * gain) * away
        prediction = Prediction.from_v(x_t, alpha, sigma, alpha * eps - sigma * x0)
        left = self.VARIANCE * sigma**2 * gain
        prediction.variance_fraction = torch.full_like(x_t, variance_fraction(self.process, t, left))
        return prediction


def variance_fraction(process: Process, t: int, left: float) -> float:
    """Return the variance of the true reverse step from t as a fraction between the posterior's (0) and beta (1).

    The variance of the true step is the posterior's plus that of its mean, c_0² Var(x_0 | x_t), where `left` is
    Var(x_0 | x_t). At timestep 0 the posterior has no variance: the result is 0.
    """
    if t == 0:
        return 0.0
    posterior, largest = process.posterior(t, t - 1), log(process.step_variance(t, t - 1))
    least, true = log(posterior.variance), log(posterior.variance + posterior.x0_coef**2 * left)
    return (true - least) / (largest - least)


class CallRecorder(Denoiser):
    """A denoiser that records the timesteps of its calls, and optionally their tensors.

    Attributes:
        steps: the timesteps of all calls, in order.
        records: input and predictions of each call, with copies made at the time.
    """

    def __init__(self, denoise: Denoiser, *, keep: bool = False) -> None:
        self.denoise, self.process, self.keep = denoise, denoise.process, keep
        self.steps: list[int] = []
        self.records: list[tuple[Tensor, Tensor]] = []

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Call the wrapped denoiser."""
        self.steps.append(t)
        prediction = self.denoise(x_t, t)
        if self.keep:
            self.records += [(part, part.clone()) for part in (x_t, prediction.x0, prediction.eps)]
        return prediction
