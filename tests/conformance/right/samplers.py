"""Two second-order samplers, as strangers would write them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import exp, inf, log
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class Heun(Sampler):
    """Heun's rule on d(x/alpha) / d(sigma/alpha) = eps (Karras et al. 2022, algorithm 1); Euler's at the ends."""

    name: ClassVar[str] = "heun"
    order: ClassVar[int] = 2

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            seen = denoise(x, t)
            x = alpha_s * seen.x0 + sigma_s * seen.eps
            if s >= 0:
                ahead = denoise(x, s)
                if alpha_t > 0:
                    x = x + (alpha_s * sigma_t / alpha_t - sigma_s) / 2 * (seen.eps - ahead.eps)
            yield x

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        return 2 * steps - 1


class Multistep(Sampler):
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): one call a step, the one before remembered."""

    name: ClassVar[str] = "dpm-2m"
    order: ClassVar[int] = 2

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        process = denoise.process
        before, width = None, inf
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            x0 = denoise(x, t).x0
            step = inf if s < 0 or alpha_t == 0 else log(alpha_s * sigma_t / (sigma_s * alpha_t))
            bent = x0 if before is None or step == inf else x0 + step / (2 * width) * (x0 - before)
            x = sigma_s / sigma_t * x - alpha_s * (exp(-step) - 1) * bent
            before, width = x0, step
            yield x
