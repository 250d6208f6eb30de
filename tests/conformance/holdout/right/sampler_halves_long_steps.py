"""DDIM that takes a step in two where its noise falls by more than a factor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import (
    Sampler,
)

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class HalvesLongSteps(Sampler):
    """DDIM that takes a step in two where its noise falls by more than a factor."""

    name: ClassVar[str] = "halves-long-steps"
    adaptive: ClassVar[bool] = True

    factor: float = Field(3.0, gt=1, description="how much sigma / alpha may fall in one step")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step by Euler's rule, with one level more inside long steps."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            for a, b in pairwise(self._levels(process.ratios, t, s)):
                seen = denoise(x, a)
                alpha, sigma = process(b)
                x = alpha * seen.x0 + sigma * seen.eps
            yield x

    def _levels(self, ratios: list[float], t: int, s: int) -> list[int]:
        middle = (t + s) // 2
        return [t, middle, s] if s < middle < t and s >= 0 and ratios[t] > self.factor * ratios[s] else [t, s]

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        """Return about one a step."""
        return steps


KIND = "sampler"
PLUGIN = HalvesLongSteps
