"""Heun's rule on the probability flow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class HeunCost(Sampler):
    """Heun's rule on the probability flow."""

    name: ClassVar[str] = "heun-cost"
    paper: ClassVar[str] = "Karras, Aittala, Aila & Laine 2022, algorithm 1"
    order: ClassVar[int] = 2

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Predict by Euler, look again, correct."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            here = denoise(x, t)
            x = alpha_s * here.x0 + sigma_s * here.eps
            if s >= 0 and alpha_t > 0:
                there = denoise(x, s)
                x = x + (sigma_s - alpha_s * sigma_t / alpha_t) / 2 * (there.eps - here.eps)
            yield x

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        """Return two a step."""
        return 2 * steps


KIND = "sampler"
PLUGIN = HeunCost
CAUSE = "network_calls says 2 a step, but the last step takes one call"
WORDS = ("calls", "network_calls")
