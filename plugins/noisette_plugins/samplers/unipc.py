"""UniPC: a predictor with a corrector that needs no further network call."""

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
    """A step from x_t, with x0 predicted there, over the length h = lambda_s - lambda_t.

    `difference` is x0 of the step before minus x0, and `r` the place of that step in units of h; None and 0 for a
    step of first order.
    """

    x_t: Tensor
    x0: Tensor
    h: float
    sigma_ratio: float
    alpha_s: float
    difference: Tensor | None
    r: float

    @property
    def first_order(self) -> Tensor:
        return self.sigma_ratio * self.x_t - self.alpha_s * expm1(-self.h) * self.x0

    def predict(self) -> Tensor:
        """Return x_s (UniP-2)."""
        if self.difference is None:
            return self.first_order
        return self.first_order - self.alpha_s * expm1(-self.h) / 2 * (self.difference / self.r)

    def correct(self, x0_s: Tensor) -> Tensor:
        """Return x_s again, given x0 predicted at x_s (UniC-2)."""
        scale = -self.alpha_s * expm1(-self.h)
        change = x0_s - self.x0
        if self.difference is None:
            return self.first_order + scale / 2 * change
        first, second = _moments(-self.h)
        weight = (second - first) / (self.r - 1)
        return self.first_order + scale * (weight * (self.difference / self.r) + (first - weight) * change)


class UniPC(Sampler):
    """UniPC-2 for x0 with B(h) = e^h - 1: the prediction at the end of a step also corrects that step.

        x_s = (sigma_s / sigma_t) x_t + alpha_s (1 - e^-h) (x0_t + D_1 / (2 r_1))                      (predictor)
        x_s = (sigma_s / sigma_t) x_t + alpha_s (1 - e^-h) (x0_t + a_1 D_1 / r_1 + a_2 (x0_s - x0_t))  (corrector)

    with h = lambda_s - lambda_t, lambda = log(alpha / sigma), D_1 = x0_before - x0_t and r_1 = -h_before / h; a_1
    and a_2 solve the paper's order conditions. The corrector adds one to the predictor's order, 2. The first and
    the last step are of first order, and the last step is not corrected. For the spacing of few steps see
    ``dpmpp-2m``.
    """

    name: ClassVar[str] = "unipc"
    paper: ClassVar[str] = "Zhao, Bai, Rao, Zhou & Lu 2023, algorithms 5 to 8"
    order: ClassVar[int] = 3

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Yield the predicted x_s after each step; it is corrected at the next."""
        process = denoise.process
        step: _Step | None = None
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            x0 = denoise(x, t).x0
            previous = step if step is not None and isfinite(step.h) else None
            if previous is not None:
                x = previous.correct(x0)
            (_, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            h = process.half_log_snr(s) - process.half_log_snr(t)
            difference, r = (
                (None, 0.0) if previous is None or not isfinite(h) else (previous.x0 - x0, -previous.h / h)
            )
            step = _Step(x, x0, h, sigma_s / sigma_t, alpha_s, difference, r)
            x = step.predict()
            yield x


def _moments(h: float) -> tuple[float, float]:
    """Return the right-hand sides of the order conditions, phi_2 and 2 phi_3 divided by B(h)."""
    base = expm1(h)
    second = base / h - 1
    third = second / h - 0.5
    return second / base, 2 * third / base
