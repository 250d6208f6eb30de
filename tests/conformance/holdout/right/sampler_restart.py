"""Restart: walk down, add noise back up over part of the walk, and walk down again."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise, Process


class Restart(Sampler):
    """Restart: walk down, add noise back up over part of the walk, and walk down again.

    It would want to declare: that the walk goes up in noise, that there are more steps (and yields) than `steps`,
    and how many for a given walk.
    """

    name: ClassVar[str] = "restart"
    paper: ClassVar[str] = "Xu, Deng, Cheng, Tian, Liu & Jaakkola 2023, algorithm 1"
    stochastic: ClassVar[bool] = True
    renoises: ClassVar[bool] = True
    adaptive: ClassVar[bool] = True

    restarts: int = Field(2, ge=0, description="times that the part is walked again")
    upper: float = Field(0.5, gt=0, lt=1, description="where the part begins, as a share of the walk")
    lower: float = Field(0.8, gt=0, lt=1, description="where it ends, after `upper`")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Yield x after each step down, of restarts too."""
        process = denoise.process
        walk = process.timesteps(self.steps, self.spacing)
        high, low = self._part(len(walk) - 1)
        for place in range(len(walk) - 1):
            x = self._down(denoise, x, walk[place], walk[place + 1])
            yield x
            if place + 1 == low and high < low:
                for _ in range(self.restarts):
                    x = self._up(process, x, walk[low], walk[high], noise)
                    for again in range(high, low):
                        x = self._down(denoise, x, walk[again], walk[again + 1])
                        yield x

    def _part(self, steps: int) -> tuple[int, int]:
        """Return the places in the walk between which it is walked again; never the clean image."""
        low = min(round(self.lower * steps), steps - 1)
        return max(min(round(self.upper * steps), low), 0), max(low, 0)

    def _down(self, denoise: Denoiser, x: Tensor, t: int, s: int) -> Tensor:
        seen = denoise(x, t)
        alpha_s, sigma_s = denoise.process(s)
        return alpha_s * seen.x0 + sigma_s * seen.eps

    def _up(self, process: Process, x: Tensor, s: int, t: int, noise: Noise) -> Tensor:
        jump = process.step_variance(t, s)
        return sqrt(1 - jump) * x + sqrt(jump) * noise()

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        """Return one a step, of restarts too."""
        high, low = self._part(steps)
        return steps + self.restarts * (low - high)


KIND = "sampler"
PLUGIN = Restart
