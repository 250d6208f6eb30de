"""Samplers that are right in a way of their own, and declare it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise, Process


def euler(denoise: Denoiser, x: Tensor, t: int, s: int) -> Tensor:
    """Step from t to s as DDIM does."""
    seen, (alpha, sigma) = denoise(x, t), denoise.process(s)
    return alpha * seen.x0 + sigma * seen.eps


def noised(process: Process, x: Tensor, s: int, t: int, noise: Noise) -> Tensor:
    """Add the noise that the process adds from level s to level t."""
    if s == t:
        return x
    return process(t)[0] / process(s)[0] * x + sqrt(process.step_variance(t, s)) * noise()


class Churn(Sampler):
    """Before each step, go back by the length of the step (Karras et al. 2022, algorithm 2)."""

    name: ClassVar[str] = "churn"
    stochastic: ClassVar[bool] = True
    renoises: ClassVar[bool] = True

    churn: Literal[0, 1, 2] = Field(1, description="lengths of a step to go back by")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        listed = denoise.process.timesteps(self.steps, self.spacing)
        for t, s in pairwise(listed):
            above = min(t + self.churn * (t - s), listed[0])
            x = euler(denoise, noised(denoise.process, x, t, above, noise), above, s)
            yield x


class Restart(Sampler):
    """Halfway, go back to a quarter of the way, and down again (Xu et al. 2023)."""

    name: ClassVar[str] = "restart"
    renoises: ClassVar[bool] = True
    stochastic: ClassVar[bool] = True

    times: Literal[1, 3] = Field(1, description="how often to go back")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        listed = denoise.process.timesteps(self.steps, self.spacing)
        high, low = self._places(len(listed) - 1)
        for number, (t, s) in enumerate(pairwise(listed)):
            x = euler(denoise, x, t, s)
            if number + 1 == low and low > high:
                for _ in range(self.times):
                    x = noised(denoise.process, x, s, listed[high], noise)
                    for above, below in pairwise(listed[high : low + 1]):
                        x = euler(denoise, x, above, below)
            yield x

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        high, low = self._places(steps)
        return steps + self.times * (low - high)

    def _places(self, steps: int) -> tuple[int, int]:
        return steps // 4, steps // 2


class PredictorCorrector(Sampler):
    """After each step a step of Langevin dynamics, which nobody corrects (Song et al. 2021, algorithm 1)."""

    name: ClassVar[str] = "predictor-corrector"
    stochastic: ClassVar[bool] = True
    bias: ClassVar[float] = 0.04

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        size = 0.05
        for t, s in pairwise(denoise.process.timesteps(self.steps, self.spacing)):
            x = euler(denoise, x, t, s)
            if s >= 0:
                sigma = denoise.process(s)[1]
                x = x - size * sigma * denoise(x, s).eps + sqrt(2 * size) * sigma * noise()
            yield x

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        return 2 * steps - 1


class OwnLevels(Sampler):
    """Steps of about even length in log(alpha / sigma), as many as that takes."""

    name: ClassVar[str] = "own-levels"
    adaptive: ClassVar[bool] = True

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        process = denoise.process
        t = process.timesteps(self.steps, self.spacing)[0]
        while t >= 0:
            s = t - 1
            while s > 0 and process.half_log_snr(s - 1) - process.half_log_snr(t) < 20 / self.steps:
                s -= 1
            x = euler(denoise, x, t, s)
            t = s
            yield x


class EulerMaruyama(Sampler):
    """The reverse SDE in plain steps (Song et al. 2021, eq. 47)."""

    name: ClassVar[str] = "euler-maruyama"
    stochastic: ClassVar[bool] = True
    linear_exact: ClassVar[bool] = False

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            beta = process.step_variance(t, s)
            x = (2 - sqrt(1 - beta)) * x - beta / process(t)[1] * denoise(x, t).eps
            if s >= 0:
                x = x + sqrt(beta) * noise()
            yield x


class EverySecond(Sampler):
    """Calls the network in every second step, and takes what it saw for the next one too."""

    name: ClassVar[str] = "every-second"

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        process = denoise.process
        x0 = x
        for number, (t, s) in enumerate(pairwise(process.timesteps(self.steps, self.spacing))):
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            if number % 2 == 0:
                x0 = denoise(x, t).x0
            x = alpha_s * x0 + sigma_s * (x - alpha_t * x0) / sigma_t
            yield x

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        return (steps + 1) // 2
