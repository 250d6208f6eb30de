"""DPM-Solver++ 2M."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import expm1, isfinite
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class MultistepWholeStep(Sampler):
    """DPM-Solver++ 2M."""

    name: ClassVar[str] = "dpmpp-2m-whole"
    paper: ClassVar[str] = "Lu et al. 2022 (DPM-Solver++), algorithm 2"
    order: ClassVar[int] = 2

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Extrapolate x0 from the step before."""
        process = denoise.process
        before, length = None, 0.0
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (_, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            h = process.half_log_snr(s) - process.half_log_snr(t)
            x0 = image = denoise(x, t).x0
            if before is not None and isfinite(h) and isfinite(length):
                image = x0 + h / length * (x0 - before)
            x = sigma_s / sigma_t * x - alpha_s * expm1(-h) * image
            before, length = x0, h
            yield x


KIND = "sampler"
PLUGIN = MultistepWholeStep
CAUSE = (
    "x0 is extrapolated over the whole step where it must be over half of it, so the order is 1, not the declared 2"
)
WORDS = ("order",)
