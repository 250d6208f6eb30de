"""Heun's rule on every other step, Euler's on the rest: the network is called twice on some steps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class Alternating(Sampler):
    """Heun's rule on every other step, Euler's on the rest: the network is called twice on some steps.

    It would want to declare a cost for each step.
    """

    name: ClassVar[str] = "alternating"
    paper: ClassVar[str] = "after Karras, Aittala, Aila & Laine 2022, algorithm 1"

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Take the first, third, ... step by Heun's rule, but not the last one."""
        process = denoise.process
        for number, (t, s) in enumerate(pairwise(process.timesteps(self.steps, self.spacing))):
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            here = denoise(x, t)
            ahead = alpha_s * here.x0 + sigma_s * here.eps
            if number % 2 == 0 and s >= 0:
                there = denoise(ahead, s)
                if alpha_t > 0:
                    ahead = ahead + (sigma_s - alpha_s * sigma_t / alpha_t) / 2 * (there.eps - here.eps)
                else:
                    ahead = alpha_s * there.x0 + sigma_s * there.eps
            x = ahead
            yield x

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        """Return one a step, and one more for every other step but the last."""
        return steps + steps // 2


KIND = "sampler"
PLUGIN = Alternating
