"""DDIM that puts a step into the middle of those over which the log-SNR changes much."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

from pydantic import Field

from noisette import Sampler


class Filling(Sampler):
    """DDIM that puts a step into the middle of those over which the log-SNR changes much."""

    name: ClassVar[str] = "filling"
    paper: ClassVar[str] = "after Lu et al. 2022 (DPM-Solver), on even steps of the log-SNR"
    adaptive: ClassVar[bool] = True

    longest: float = Field(1.0, gt=0, description="change of half the log-SNR that a step may make")

    def trajectory(self, denoise, x, noise):
        """Step to alpha_s x0 + sigma_s eps over the filled walk."""
        process = denoise.process
        given = process.timesteps(self.steps, self.spacing)
        walk = [given[0]]
        for s in given[1:]:
            while s >= 0 and walk[-1] - s > 1:
                apart = process.half_log_snr(s) - process.half_log_snr(walk[-1])
                if apart <= self.longest or not math.isfinite(apart):
                    break
                pieces = min(math.ceil(apart / self.longest), walk[-1] - s)
                walk.append(walk[-1] - max((walk[-1] - s) // pieces, 1))
            walk.append(s)
        walk = sorted(set(walk), reverse=True)
        for t, s in pairwise(walk):
            seen = denoise(x, t)
            alpha, sigma = process(s)
            x = alpha * seen.x0 + sigma * seen.eps
            yield x


PLUGIN = Filling
NOTE = (
    "The number of steps is its own, which adaptive says; levels hang on the schedule alone, so images "
    "of a batch do not."
)
