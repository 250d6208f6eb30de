"""What a sampler is run with in the checks: forward processes, exact denoisers and sources of noise.

The tables of the processes are defined here, so that they depend on no plugin. An exact denoiser returns
E[x_0 | x_t] of a known distribution, in closed form, without a network.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from noisette.contracts import Sampler
from noisette.diffusion import Denoiser, Noise, Prediction, Process
from noisette.diffusion.noise import seeded_generator
from noisette.testing.check import require
from noisette.testing.distributions import LabelledMixture, Mixture
from noisette.testing.probes import is_bit_equal

__all__ = [
    "AffineDenoiser",
    "BasisNoise",
    "BatchNoise",
    "CallRecorder",
    "CountedNoise",
    "ExactDenoiser",
    "ExactLabelledDenoiser",
    "SwitchableNoise",
    "cosine_process",
    "even_process",
    "initial_noise",
    "linear_process",
    "require_state",
    "run_sampler",
    "variance_fraction",
    "zero_terminal_process",
]


def linear_process(timesteps: int = 1000) -> Process:
    """Betas from 1e-4 to 0.02, scaled to T (Ho et al. 2020, section 4)."""
    scale = 1000 / timesteps
    betas = torch.linspace(scale * 1e-4, scale * 0.02, timesteps, dtype=torch.float64)
    return Process(betas.clamp(max=0.999))


def cosine_process(timesteps: int = 1000) -> Process:
    """A squared cosine, betas clipped at 0.999 (Nichol & Dhariwal 2021, eq. 17): alpha ends at 5e-5."""
    t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    signal = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    return Process((1 - signal[1:] / signal[:-1]).clamp(max=0.999))


def zero_terminal_process(timesteps: int = 1000) -> Process:
    """The linear process whose last step leaves no signal: the last beta is 1 (Lin et al. 2024)."""
    betas = linear_process(timesteps).betas.clone()
    betas[-1] = 1.0
    return Process(betas)


def even_process(timesteps: int = 961) -> Process:
    """A process whose log(alpha / sigma) falls evenly from 3 to -3.

    Steps that are even in t are even in every variable that samplers use, so that the order of a method is visible
    with few steps; 960 intervals can be halved six times.
    """
    ratio = torch.linspace(3.0, -3.0, timesteps, dtype=torch.float64)
    squared = torch.sigmoid(2 * ratio)
    before = torch.cat([torch.ones(1, dtype=torch.float64), squared[:-1]])
    return Process(1 - squared / before)


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
    posterior, largest = process.posterior(t, t - 1), math.log(process.step_variance(t, t - 1))
    least, true = math.log(posterior.variance), math.log(posterior.variance + posterior.x0_coef**2 * left)
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


class BatchNoise(Noise):
    """Standard normal noise for a whole batch from one generator: fast, for statistics."""

    def __init__(self, seed: int, like: Tensor) -> None:
        self._generator, self._like = seeded_generator(seed, "testing"), like

    def __call__(self) -> Tensor:
        """Return new noise of the batch's shape."""
        return torch.randn(self._like.shape, dtype=torch.float64, generator=self._generator).to(self._like)


class CountedNoise(Noise):
    """Noise of zeros that counts its calls."""

    def __init__(self, like: Tensor) -> None:
        self._like, self.draws = like, 0

    def __call__(self) -> Tensor:
        """Return zeros."""
        self.draws += 1
        return torch.zeros_like(self._like)


class BasisNoise(Noise):
    """Unit noise: call k returns the unit vector e_d for row `first` + k D + d, and zero for every other row."""

    def __init__(self, like: Tensor, first: int) -> None:
        self._like, self._first, self.draws = like, first, 0

    def __call__(self) -> Tensor:
        """Return the unit vectors of the next call; zeros if no row is left for it."""
        draw = torch.zeros_like(self._like)
        size = draw[0].numel()
        own = draw.flatten(1)[self._first + self.draws * size :][:size]
        own.copy_(torch.eye(size)[: len(own)])
        self.draws += 1
        return draw


class SwitchableNoise(Noise):
    """Noise from a source that can be replaced during a trajectory."""

    def __init__(self, source: Noise) -> None:
        self.source = source

    def __call__(self) -> Tensor:
        """Return the noise of the current source."""
        return self.source()


def run_sampler(
    sampler: Sampler, denoise: Denoiser, x: Tensor, noise: Noise, what: str = "a trajectory"
) -> list[Tensor]:
    """Return all states that a sampler yields: at least one, each finite and of x's shape."""
    given = x.clone()
    with torch.no_grad():
        states = list(sampler.trajectory(denoise, given, noise))
    unchanged = x.device.type == "meta" or is_bit_equal(given, x)
    require(unchanged, sampler, "x after sampling", "unchanged", "changed in place", cause="changes x in place")
    require(bool(states), sampler, f"states of {what}", "one after each step", "none", cause="no states")
    for number, state in enumerate(states):
        require_state(sampler, state, x, f"state {number} of {what}")
    return states


def require_state(sampler: Sampler, state: object, x: Tensor, what: str) -> None:
    """Require a finite tensor of x's shape."""
    is_tensor = isinstance(state, Tensor)
    require(is_tensor, sampler, what, "a tensor", type(state).__name__, cause="no tensor")
    assert isinstance(state, Tensor)
    require(state.shape == x.shape, sampler, f"shape of {what}", tuple(x.shape), tuple(state.shape), cause="shape")
    if state.device.type != "meta":
        require(bool(state.isfinite().all()), sampler, what, "finite values", "NaN or infinity", cause="not finite")


def initial_noise(count: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    """Return noise to start from, (N, *shape); always the same."""
    return torch.randn(count, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(dtype)
