"""Samplers that draw from the wrong law, or get there at another pace than they say."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import ClassVar

from conformance.case import Case
from conformance.right.samplers import Heun, Multistep
from conformance.wrong.samplers import HeunUneven, OneStepEarly, Walker

from noisette_plugins.samplers import DDIM, DDPM


class EvenStride(Walker):
    """The next step is t - T // N, whatever the list says."""

    def trajectory(self, denoise, x, noise):
        stride = len(denoise.process) // self.steps
        for t, _ in pairwise(self.listed(denoise)):
            x = self.step(denoise, x, noise, t, max(t - stride, -1))
            yield x


class VarianceSwapped(DDPM):
    """The posterior's variance where beta was meant, and the other way round."""

    def trajectory(self, denoise, x, noise):
        other = {"fixed-small": "fixed-large", "fixed-large": "fixed-small"}[self.variance]
        swapped = DDPM(steps=self.steps, spacing=self.spacing, variance=other)
        yield from swapped.trajectory(denoise, x, noise)


class RoundsToSingle(Walker):
    def step(self, denoise, x, noise, t, s):
        return super().step(denoise, x, noise, t, s).float().to(x.dtype)


class ReadsVForEps(Walker):
    def step(self, denoise, x, noise, t, s):
        alpha_s, sigma_s = denoise.process(s)
        seen = denoise(x, t)
        return alpha_s * seen.x0 + sigma_s * seen.v


class AlphaNotSquared(Walker):
    def step(self, denoise, x, noise, t, s):
        alpha_s, sigma_s = denoise.process(s)
        seen = denoise(x, t)
        return sqrt(alpha_s) * seen.x0 + sigma_s * seen.eps


class EtaAddsToAll(Walker):
    """Noise is added, but its share of the old noise is not taken away: right at eta 0 only."""

    def step(self, denoise, x, noise, t, s):
        alpha_s, sigma_s = denoise.process(s)
        seen = denoise(x, t)
        std = self.eta * sqrt(denoise.process.posterior(t, s).variance)
        return alpha_s * seen.x0 + sigma_s * seen.eps + (std * noise() if std > 0 else 0.0)


class TooLoud(DDPM):
    def trajectory(self, denoise, x, noise):
        yield from super().trajectory(denoise, x, lambda: 1.0005 * noise())


class SaysSecondOrder(DDIM):
    order: ClassVar[int] = 2


class SaysFirstOrder(Multistep):
    order: ClassVar[int] = 1


class ClipsInside(Walker):
    """Clips the image it sees, and keeps the noise that belonged to the other one."""

    def step(self, denoise, x, noise, t, s):
        alpha_s, sigma_s = denoise.process(s)
        seen = denoise(x, t)
        return alpha_s * seen.x0.clamp(-1, 1) + sigma_s * seen.eps


class PassesImagesOn(Walker):
    """Shifts the batch by one halfway: right for one law, wrong for a batch of labels."""

    def step(self, denoise, x, noise, t, s):
        stepped = super().step(denoise, x, noise, t, s)
        return stepped.roll(1, dims=0) if s < 500 <= t else stepped


CASES = [
    Case("exact-on-a-point", EvenStride(), DDIM()),
    Case("exact-on-a-point", VarianceSwapped(), DDPM()),
    Case("exact-on-a-point", RoundsToSingle(), DDIM()),
    Case("exact-on-a-point", ReadsVForEps(), DDIM()),
    Case("exact-on-a-point", AlphaNotSquared(), DDIM()),
    Case("exact-on-a-point", EtaAddsToAll(), DDIM()),
    Case("exact-on-a-point", OneStepEarly(), DDIM()),
    Case("gaussian-law", TooLoud(), DDPM()),
    Case("gaussian-law", EtaAddsToAll(), DDIM()),
    Case("order", SaysSecondOrder(), DDIM()),
    Case("order", SaysFirstOrder(), Multistep()),
    Case("order", HeunUneven(), Heun()),
    Case("mixture-law", ClipsInside(), DDIM()),
    Case("mixture-law", ReadsVForEps(), DDIM()),
    Case("label-laws", PassesImagesOn(), DDIM()),
]
