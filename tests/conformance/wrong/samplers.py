"""Samplers with one mistake each; most were made in public code."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, ClassVar

from conformance.case import Case
from conformance.right.samplers import Heun
from pydantic import Field

from noisette.diffusion.spacing import space_timesteps
from noisette_plugins.samplers import DDIM, DDPM

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class Walker(DDIM):
    """DDIM in parts, each of which a wrong one replaces."""

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        for t, s in pairwise(self.listed(denoise)):
            x = self.step(denoise, x, noise, t, s)
            yield x

    def listed(self, denoise: Denoiser) -> list[int]:
        return denoise.process.timesteps(self.steps, self.spacing)

    def step(self, denoise: Denoiser, x: Tensor, noise: Noise, t: int, s: int) -> Tensor:
        process = denoise.process
        seen = denoise(x, t)
        alpha_s, sigma_s = process(s)
        std = self.eta * sqrt(process.posterior(t, s).variance)
        x = alpha_s * seen.x0 + sqrt(max(sigma_s**2 - std**2, 0.0)) * seen.eps
        return x + std * noise() if std > 0 else x


class OneStepEarly(Walker):
    def step(self, denoise, x, noise, t, s):
        alpha_s, sigma_s = denoise.process(s)
        seen = denoise(x, max(t - 1, 0))
        return alpha_s * seen.x0 + sigma_s * seen.eps


class IgnoresGivenLists(Walker):
    def listed(self, denoise):
        return space_timesteps(denoise.process.start + 1, self.steps, "linspace")


class IgnoresTheStart(Walker):
    def listed(self, denoise):
        spacing = self.spacing
        return space_timesteps(len(denoise.process), self.steps, spacing)


class SkipsTheLast(Walker):
    def listed(self, denoise):
        listed = super().listed(denoise)
        return [*listed[:-2], -1] if len(listed) > 2 else listed


class HeunAtTheClean(Heun):
    """Calls the network at the clean image, for which it was never trained."""

    def trajectory(self, denoise, x, noise):
        *states, end = super().trajectory(denoise, x, noise)
        yield from states
        denoise(end, -1)
        yield end

    def network_calls(self, steps, *, from_noise=False):
        return 2 * steps


class HeunGoesOn(Heun):
    """Calls the network once more when the image is done."""

    def trajectory(self, denoise, x, noise):
        yield from super().trajectory(denoise, x, noise)
        denoise(x, 0)

    def network_calls(self, steps, *, from_noise=False):
        return 2 * steps


class HeunMiscounts(Heun):
    def network_calls(self, steps, *, from_noise=False):
        return steps


class YieldsTheStart(Walker):
    def trajectory(self, denoise, x, noise):
        yield x
        yield from super().trajectory(denoise, x, noise)


class YieldsTheEndOnly(Walker):
    def trajectory(self, denoise, x, noise):
        *_, end = super().trajectory(denoise, x, noise)
        yield end


class CastsToSingle(Walker):
    def step(self, denoise, x, noise, t, s):
        return super().step(denoise, x, noise, t, s).float()


class StaysOnTheCpu(DDPM):
    def trajectory(self, denoise, x, noise):
        import torch

        for state in super().trajectory(denoise, x, noise):
            yield state + torch.zeros(x.shape, dtype=x.dtype)


class Flattens(Walker):
    def step(self, denoise, x, noise, t, s):
        stepped = super().step(denoise, x, noise, t, s)
        return stepped.flatten(1) if s < 0 else stepped


class ChangesX(Walker):
    def trajectory(self, denoise, x, noise):
        x.mul_(1.0 + 1e-9)
        yield from super().trajectory(denoise, x, noise)


class ChangesThePrediction(Walker):
    def step(self, denoise, x, noise, t, s):
        seen = denoise(x, t)
        alpha_s, sigma_s = denoise.process(s)
        return seen.x0.mul_(alpha_s).add_(seen.eps, alpha=sigma_s)


class ReusesABuffer(Walker):
    def trajectory(self, denoise, x, noise):
        buffer = x.clone()
        for t, s in pairwise(self.listed(denoise)):
            buffer.copy_(self.step(denoise, buffer.clone(), noise, t, s))
            yield buffer


class GlobalTorch(Walker):
    def step(self, denoise, x, noise, t, s):
        import torch

        return super().step(denoise, x, lambda: torch.randn_like(x), t, s)

    eta: float = Field(1.0, ge=0, le=1, description="as ddim's")


class GlobalPython(Walker):
    def step(self, denoise, x, noise, t, s):
        return super().step(denoise, x, noise, t, s) + 0.0 * random.random()


class Unseeded(Walker):
    def step(self, denoise, x, noise, t, s):
        import torch

        generator = torch.Generator()
        generator.seed()
        stepped = super().step(denoise, x, noise, t, s)
        return stepped + 1e-6 * torch.randn(x.shape, generator=generator) if s >= 0 else stepped


class SameImageAlways(Walker):
    def trajectory(self, denoise, x, noise):
        yield from super().trajectory(denoise, 0.0 * x, noise)


class NormalisesTheBatch(Walker):
    def step(self, denoise, x, noise, t, s):
        stepped = super().step(denoise, x, noise, t, s)
        return stepped - 1e-3 * stepped.mean()


class OneNoiseForAll(DDPM):
    def trajectory(self, denoise, x, noise):
        yield from super().trajectory(denoise, x, lambda: noise()[:1].expand_as(x))


class DividesByAlpha(Walker):
    def step(self, denoise, x, noise, t, s):
        (alpha_t, sigma_t), (alpha_s, sigma_s) = denoise.process(t), denoise.process(s)
        eps = denoise(x, t).eps
        return alpha_s * (x - sigma_t * eps) / alpha_t + sigma_s * eps


class NoiseAtTheLastStep(DDPM):
    def trajectory(self, denoise, x, noise):
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            posterior = process.posterior(t, s)
            mean = posterior.x0_coef * denoise(x, t).x0 + posterior.xt_coef * x
            x = mean + sqrt(process.step_variance(t, s) if s < 0 else posterior.variance) * noise()
            yield x


class SaysDeterministic(DDPM):
    stochastic: ClassVar[bool] = False


class SaysStochastic(DDIM):
    stochastic: ClassVar[bool] = True


class Unwraps(Walker):
    """Goes past clipping to what is in it."""

    def step(self, denoise, x, noise, t, s):
        return super().step(getattr(denoise, "denoise", denoise), x, noise, t, s)


class ClipsTwice(Walker):
    """Reads the wrapped image, but the noise of what is inside."""

    def step(self, denoise, x, noise, t, s):
        alpha_s, sigma_s = denoise.process(s)
        eps = getattr(denoise, "denoise", denoise)(x, t).eps
        return alpha_s * denoise(x, t).x0 + sigma_s * eps


class GuidesItself(Walker):
    """Guides what core has guided already."""

    def step(self, denoise, x, noise, t, s):
        alpha_s, sigma_s = denoise.process(s)
        seen = denoise(x, t)
        return alpha_s * seen.x0 * self.guidance_scale + sigma_s * seen.eps


class Unguided(Walker):
    """Calls the denoiser inside the guided one."""

    def step(self, denoise, x, noise, t, s):
        return super().step(getattr(denoise, "cond", denoise), x, noise, t, s)


class ForgetsEta(DDIM):
    def trajectory(self, denoise, x, noise):
        yield from DDIM(steps=self.steps, spacing=self.spacing).trajectory(denoise, x, noise)


class HeunUneven(Heun):
    """Weighs the two slopes 0.6 and 0.4: still consistent, no longer of second order."""

    def trajectory(self, denoise, x, noise):
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            seen = denoise(x, t)
            x = alpha_s * seen.x0 + sigma_s * seen.eps
            if s >= 0:
                x = x + 0.4 * (alpha_s * sigma_t / alpha_t - sigma_s) * (seen.eps - denoise(x, s).eps)
            yield x


class NamesAVariantThatItHasNot(DDIM):
    variants = ({"etta": 1.0},)


class NamesTheDefaultAsAVariant(DDIM):
    variants = ({"eta": 1.0}, {"eta": 0.0})


class OneLabelForAll(DDIM):
    variants = ({"eta": 1.0},)

    @property
    def label(self):
        return f"ddim-{self.steps}"


CASES = [
    Case("visits-the-listed-steps", OneStepEarly(), DDIM()),
    Case("visits-the-listed-steps", IgnoresGivenLists(), DDIM()),
    Case("visits-the-listed-steps", IgnoresTheStart(), Walker()),
    Case("visits-the-listed-steps", SkipsTheLast(), DDIM()),
    Case("visits-the-listed-steps", HeunAtTheClean(), Heun()),
    Case("visits-the-listed-steps", HeunGoesOn(), Heun()),
    Case("network-calls-as-declared", HeunMiscounts(), Heun()),
    Case("yields-one-state-per-step", YieldsTheStart(), DDIM()),
    Case("yields-one-state-per-step", YieldsTheEndOnly(), DDIM()),
    Case("keeps-shape-dtype-and-device", CastsToSingle(), DDIM()),
    Case("keeps-shape-dtype-and-device", StaysOnTheCpu(), DDPM()),
    Case("keeps-shape-dtype-and-device", Flattens(), DDIM()),
    Case("leaves-its-inputs-alone", ChangesX(), DDIM()),
    Case("leaves-its-inputs-alone", ChangesThePrediction(), DDIM()),
    Case("leaves-its-inputs-alone", ReusesABuffer(), DDIM()),
    Case("leaves-global-random-state-alone", GlobalTorch(), DDIM(eta=1.0)),
    Case("leaves-global-random-state-alone", GlobalPython(), DDIM()),
    Case("same-seed-same-bits", Unseeded(), DDIM()),
    Case("same-seed-same-bits", GlobalTorch(), DDIM(eta=1.0)),
    Case("same-seed-same-bits", SameImageAlways(), DDIM()),
    Case("any-batch-and-split-same-bits", NormalisesTheBatch(), DDIM()),
    Case("any-batch-and-split-same-bits", OneNoiseForAll(), DDPM()),
    Case("finite-at-both-ends", DividesByAlpha(), DDIM()),
    Case("finite-at-both-ends", HeunUneven(), Heun()),
    Case("last-step-adds-no-noise", NoiseAtTheLastStep(), DDPM()),
    Case("stochastic-as-declared", SaysDeterministic(), DDPM()),
    Case("stochastic-as-declared", SaysStochastic(), DDIM()),
    Case("respects-the-wrapped-denoiser", Unwraps(), DDIM()),
    Case("respects-the-wrapped-denoiser", ClipsTwice(), DDIM()),
    Case("leaves-guidance-to-core", GuidesItself(), DDIM()),
    Case("leaves-guidance-to-core", Unguided(), DDIM()),
    Case("every-option-has-an-effect", ForgetsEta(), DDIM()),
    Case("variants-are-distinct", NamesAVariantThatItHasNot(), DDPM()),
    Case("variants-are-distinct", NamesTheDefaultAsAVariant(), DDPM()),
    Case("variants-are-distinct", OneLabelForAll(), DDPM()),
]
