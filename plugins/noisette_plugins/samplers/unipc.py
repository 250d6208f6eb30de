"""UniPC: a predictor, and a corrector that costs no network call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import expm1, isfinite
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise

__all__ = ["UniPC"]


@dataclass(frozen=True)
class _Step:
    """A step that was taken: from x with the view x0, over the length h, to (alpha_s, sigma_s)."""

    x: Tensor
    x0: Tensor
    h: float
    shrink: float
    alpha: float
    slope: Tensor | None  # (x0 of the step before - x0) and its place in units of h
    place: float

    @property
    def linear(self) -> Tensor:
        """Return the step of first order."""
        return self.shrink * self.x - self.alpha * expm1(-self.h) * self.x0

    def predicted(self) -> Tensor:
        """Return the step with the slope of the step before (UniP-2)."""
        if self.slope is None:
            return self.linear
        return self.linear - self.alpha * expm1(-self.h) / 2 * (self.slope / self.place)

    def corrected(self, x0: Tensor) -> Tensor:
        """Return the step again, now that x0 at its end is known (UniC-2)."""
        scale = -self.alpha * expm1(-self.h)
        change = x0 - self.x0
        if self.slope is None:
            return self.linear + scale / 2 * change
        first, second = _moments(-self.h)
        old = (second - first) / (self.place - 1)
        return self.linear + scale * (old * (self.slope / self.place) + (first - old) * change)


class UniPC(Sampler):
    """UniPC-2 with B(h) = e^h - 1, predicting x0: the view at the end of a step corrects the step.

    The corrector adds one to the predictor's order, 2, as the paper proves. The first and the last step are of
    first order, and the last one is not corrected. Which spacing suits few steps is as for ``dpmpp-2m``.
    """

    name: ClassVar[str] = "unipc"
    paper: ClassVar[str] = "Zhao, Bai, Rao, Zhou & Lu 2023, algorithms 5 to 8"
    order: ClassVar[int] = 3

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Look, correct the step that led here, and predict the next."""
        process = denoise.process
        step: _Step | None = None
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            x0 = denoise(x, t).x0
            corrects = step is not None and isfinite(step.h)
            if step is not None and corrects:
                x = step.corrected(x0)
            (_, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            h = process.half_log_snr(s) - process.half_log_snr(t)
            bends = step is not None and corrects and isfinite(h)
            slope, place = (step.x0 - x0, -step.h / h) if step is not None and bends else (None, 0.0)
            step = _Step(x, x0, h, sigma_s / sigma_t, alpha_s, slope, place)
            x = step.predicted()
            yield x


def _moments(h: float) -> tuple[float, float]:
    """Return the right-hand sides of the corrector's equations, phi_2 and 2 phi_3 in units of B(h)."""
    base = expm1(h)
    second = base / h - 1
    third = second / h - 0.5
    return second / base, 2 * third / base
