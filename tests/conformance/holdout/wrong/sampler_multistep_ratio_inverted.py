"""DPM-Solver++(2M)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

from noisette import Sampler


class Multistep(Sampler):
    """DPM-Solver++(2M)."""

    name: ClassVar[str] = "dpmpp-multistep"
    paper: ClassVar[str] = "Lu et al. 2022 (DPM-Solver++), algorithm 2"
    order: ClassVar[int] = 2

    def trajectory(self, denoise, x, noise):
        """Step with x0 extrapolated."""
        process, before, length = denoise.process, None, 0.0
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (_, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            h = process.half_log_snr(s) - process.half_log_snr(t)
            x0 = image = denoise(x, t).x0
            if before is not None and math.isfinite(h) and math.isfinite(length):
                r = h / length
                image = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * before
            x = sigma_s / sigma_t * x - alpha_s * math.expm1(-h) * image
            before, length = x0, h
            yield x


PLUGIN = Multistep
CAUSE = (
    "r is h over the step before, where the paper's r is the step before over h: on uneven steps the "
    "extrapolation is wrong."
)
WORDS = ("order", "even", "error", "converge")
