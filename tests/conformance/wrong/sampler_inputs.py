"""Samplers that take their numbers from the wrong place, or are right at the ends of an option alone."""

from __future__ import annotations

from itertools import pairwise
from math import exp, inf, log, sqrt
from typing import ClassVar

from conformance.case import Case
from conformance.right.samplers import Multistep
from conformance.right.unusual_samplers import Churn, EverySecond, OwnLevels, PredictorCorrector, euler
from conformance.wrong.samplers import Walker

from noisette_plugins.samplers import DDIM, DDPM


class NoiseOfItsOwn(Walker):
    """Seeds a generator of its own, so that two walks agree."""

    def step(self, denoise, x, noise, t, s):
        import torch

        generator = torch.Generator().manual_seed(t)
        own = lambda: torch.randn(x.shape, generator=generator, dtype=x.dtype)  # noqa: E731
        return super().step(denoise, x, own, t, s)


_HISTORY: list[object] = []


class RemembersOtherWalks(Walker):
    """Keeps what it saw in the module, where the next walk finds it."""

    def step(self, denoise, x, noise, t, s):
        alpha_s, sigma_s = denoise.process(s)
        seen = denoise(x, t)
        before = _HISTORY[-1] if _HISTORY and _HISTORY[-1].shape == x.shape else seen.eps
        _HISTORY.append(seen.eps)
        return alpha_s * seen.x0 + sigma_s * (0.9 * seen.eps + 0.1 * before)


class OneByOne(Walker):
    """Calls the network for one image after the other: labels are those of the batch."""

    def step(self, denoise, x, noise, t, s):
        import torch

        return torch.cat([euler(denoise, one, t, s) for one in x.split(1)])

    def network_calls(self, steps, *, from_noise=False):
        return steps


class ReadsFractionsInSecret(DDPM):
    """Needs a learned variance and does not say so."""

    def trajectory(self, denoise, x, noise):
        from noisette.diffusion.prediction import log_variance

        for t, s in pairwise(denoise.process.timesteps(self.steps, self.spacing)):
            seen, posterior = denoise(x, t), denoise.process.posterior(t, s)
            x = posterior.x0_coef * seen.x0 + posterior.xt_coef * x
            if s >= 0:
                x = x + (log_variance(seen.variance_fraction, denoise.process, t, s) / 2).exp() * noise()
            yield x


class TablesInTheDtypeOfX(Walker):
    """1 - alpha² in float32, which loses digits where little noise is left."""

    def step(self, denoise, x, noise, t, s):
        seen, alpha = denoise(x, t), denoise.process.alphas.to(x)[s]
        return alpha * seen.x0 + (1 - alpha**2).sqrt() * seen.eps


class ForgetsOptionsInItsLabel(DDIM):
    @property
    def label(self):
        return f"ddim-{self.steps}"


class EtaSquaredInTheNoise(Walker):
    """eta in the direction, eta² in the noise: right at 0 and at 1."""

    def step(self, denoise, x, noise, t, s):
        alpha_s, sigma_s = denoise.process(s)
        seen = denoise(x, t)
        std = sqrt(denoise.process.posterior(t, s).variance)
        direction = sqrt(max(sigma_s**2 - (self.eta * std) ** 2, 0.0))
        x = alpha_s * seen.x0 + direction * seen.eps
        return x + self.eta**2 * std * noise() if self.eta * std > 0 else x


class OneNoiseForAllChannels(DDPM):
    def trajectory(self, denoise, x, noise):
        yield from super().trajectory(denoise, x, lambda: noise()[:, :1].expand_as(x))


class ForgetsTheStepBefore(Multistep):
    """DPM-Solver++(2M) that takes all steps for equally long."""

    def trajectory(self, denoise, x, noise):
        process, before = denoise.process, None
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            x0 = denoise(x, t).x0
            step = inf if s < 0 or alpha_t == 0 else log(alpha_s * sigma_t / (sigma_s * alpha_t))
            bent = x0 if before is None or step == inf else x0 + (x0 - before) / 2
            x = sigma_s / sigma_t * x - alpha_s * (exp(-step) - 1) * bent
            before = x0
            yield x


class BiasedInSilence(PredictorCorrector):
    bias: ClassVar[float] = 0.0


class MoreBiasThanItSays(PredictorCorrector):
    bias: ClassVar[float] = 0.01


class GoesBackInSilence(Churn):
    renoises: ClassVar[bool] = False


class ChurnsTooLittle(Churn):
    """Goes back, with a tenth less noise than the process adds."""

    def trajectory(self, denoise, x, noise):
        yield from super().trajectory(denoise, x, lambda: 0.9 * noise())


class OwnLevelsInSilence(OwnLevels):
    adaptive: ClassVar[bool] = False


class CountsEveryStep(EverySecond):
    def network_calls(self, steps, *, from_noise=False):
        return steps


class AllAtOnce(DDIM):
    """Yields nothing until the end."""

    def trajectory(self, denoise, x, noise):
        yield from list(super().trajectory(denoise, x, noise))


class SetsTheDefaultDtype(Walker):
    def step(self, denoise, x, noise, t, s):
        import torch

        torch.set_default_dtype(torch.float64)
        return super().step(denoise, x, noise, t, s)


class RefinesByTheLargestError(Walker):
    """Corrects a step of all images where one of them wants it."""

    adaptive: ClassVar[bool] = True

    def step(self, denoise, x, noise, t, s):
        seen, (alpha_t, sigma_t), (alpha, sigma) = denoise(x, t), denoise.process(t), denoise.process(s)
        end = alpha * seen.x0 + sigma * seen.eps
        if s < 0 or alpha_t == 0:
            return end
        change = denoise(end, s).eps - seen.eps
        wanted = float(change.abs().max()) > 0.05
        return end + wanted * (sigma - alpha * sigma_t / alpha_t) / 2 * change

    def network_calls(self, steps, *, from_noise=False):
        return 2 * steps - 1


class ClipsAtTheLargest(Walker):
    """Scales large values of the batch down, as a threshold does."""

    def step(self, denoise, x, noise, t, s):
        end = euler(denoise, x, t, s)
        return end / max(1.0, float(end.abs().max()) / 20)


class ScaledByTheHash(Walker):
    def step(self, denoise, x, noise, t, s):
        return euler(denoise, x, t, s) * (1 + hash("scaled") % 1000 / 1e4)


class ViewsMemory(Walker):
    def step(self, denoise, x, noise, t, s):
        return euler(denoise, x.view(-1).view(x.shape), t, s)


CASES = [
    Case("any-memory-layout", ViewsMemory(), DDIM()),
    Case("easy-and-hard-images-in-one-batch", RefinesByTheLargestError(), OwnLevels()),
    Case("easy-and-hard-images-in-one-batch", ClipsAtTheLargest(), DDIM()),
    Case("same-in-another-process", ScaledByTheHash(), DDIM()),
    Case("noise-comes-from-the-source", NoiseOfItsOwn(eta=1.0), DDIM(eta=1.0)),
    Case("trajectories-are-independent", RemembersOtherWalks(), DDIM()),
    Case("denoiser-gets-the-whole-batch", OneByOne(), DDIM()),
    Case("learned-variance-as-declared", ReadsFractionsInSecret(), DDPM(variance="learned")),
    Case("keeps-float32-precision", TablesInTheDtypeOfX(), DDIM()),
    Case("label-distinguishes-options", ForgetsOptionsInItsLabel(), DDIM()),
    Case("exact-on-a-point", EtaSquaredInTheNoise(), DDIM()),
    Case("exact-on-a-point", OneNoiseForAllChannels(), DDPM()),
    Case("exact-on-a-point", BiasedInSilence(), PredictorCorrector()),
    Case("exact-on-a-point", MoreBiasThanItSays(), PredictorCorrector()),
    Case("exact-on-a-point", ChurnsTooLittle(), Churn()),
    Case("order-on-uneven-steps", ForgetsTheStepBefore(), Multistep()),
    Case("visits-the-listed-steps", GoesBackInSilence(), Churn()),
    Case("visits-the-listed-steps", OwnLevelsInSilence(), OwnLevels()),
    Case("visits-the-listed-steps", AllAtOnce(), DDIM()),
    Case("network-calls-as-declared", CountsEveryStep(), EverySecond()),
    Case("same-seed-same-bits", SetsTheDefaultDtype(), DDIM()),
]
