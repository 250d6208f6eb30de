"""Refine a step where both ends disagree."""

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


class StepSizeByBatch(Sampler):
    """Refine a step where both ends disagree."""

    name: ClassVar[str] = "step-size-by-batch"
    adaptive: ClassVar[bool] = True

    tolerance: float = Field(0.05, gt=0, description="disagreement that a step may have")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step with Euler's rule, and with Heun's where the batch needs it."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            seen = denoise(x, t)
            (alpha_t, sigma_t), (alpha, sigma) = process(t), process(s)
            x = alpha * seen.x0 + sigma * seen.eps
            if s >= 0 and alpha_t > 0:
                there = denoise(x, s)
                if float((there.eps - seen.eps).abs().max()) > self.tolerance:
                    x = x + (sigma - alpha * sigma_t / alpha_t) / 2 * (there.eps - seen.eps)
            yield x

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        """Return about two a step."""
        return 2 * steps - 1


KIND = "sampler"
PLUGIN = StepSizeByBatch
CAUSE = (
    "It decides by the largest error in the whole batch whether a step is refined, so an image depends on "
    "its neighbours."
)
WORDS = ("batch", "neighbour", "alone", "together", "depend")
