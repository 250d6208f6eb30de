"""Schedules with one mistake each."""

from __future__ import annotations

from typing import ClassVar

from conformance.case import Case
from pydantic import Field

from noisette import DataError
from noisette_plugins.schedules import Cosine, Linear


class OneTooMany(Linear):
    def betas(self, timesteps):
        return super().betas(timesteps + 1)


class InSingle(Linear):
    def betas(self, timesteps):
        return super().betas(timesteps).float()


class FromSingle(Linear):
    """Computed in float32 and widened too late."""

    def betas(self, timesteps):
        return super().betas(timesteps).float().double()


class Alphas(Linear):
    """1 - beta where beta was asked for; at T = 1 and 2 it even looks right."""

    def betas(self, timesteps):
        return 1 - super().betas(timesteps)


class Unclipped(Cosine):
    """The cosine without its clip: the last beta is 1, and some T have two of them."""

    def betas(self, timesteps):
        betas = super().betas(timesteps)
        betas[-2:] = 1.0
        return betas


class RefusesAll(Linear):
    def betas(self, timesteps):
        raise DataError("linear: no")


class DrownsEarly(Linear):
    """No signal is left after a few hundred of 4000 steps."""

    scaled: bool = Field(False, description="not scaled, and far too strong")
    end: float = Field(0.9, gt=0, lt=1, description="last beta")


class EndsBright(Linear):
    """Scaled to too few steps: at T = 1000 a third of the picture is left."""

    def betas(self, timesteps):
        return super().betas(timesteps) / 10


class EndsInNoiseUnsaid(Linear):
    def betas(self, timesteps):
        betas = super().betas(timesteps)
        betas[-1] = 1.0
        return betas


class SaysItEndsInNoise(Linear):
    @property
    def ends_in_noise(self):
        return True


class SharesABuffer(Linear):
    buffer: ClassVar[list[object]] = []

    def betas(self, timesteps):
        fresh = super().betas(timesteps)
        if not self.buffer:
            self.buffer.append(fresh.new_full((4000,), 0.01))
        shared = self.buffer[0][:timesteps]
        return shared.copy_(fresh)


class DrawsBetas(Linear):
    def betas(self, timesteps):
        import torch

        betas = super().betas(timesteps)
        return betas * (1 + 1e-6 * torch.rand(timesteps, dtype=torch.float64))


class KeepsTheFirst(Linear):
    """Remembers its answer, and whoever changes it changes it for all."""

    kept: ClassVar[dict[int, object]] = {}

    def betas(self, timesteps):
        if timesteps not in self.kept:
            self.kept[timesteps] = super().betas(timesteps)
        return self.kept[timesteps]


class ForgetsTheEnd(Linear):
    def betas(self, timesteps):
        return Linear(start=self.start, scaled=self.scaled).betas(timesteps)


CASES = [
    Case("betas-are-variances", OneTooMany(), Linear()),
    Case("betas-are-variances", InSingle(), Linear()),
    Case("betas-are-variances", Unclipped(), Cosine()),
    Case("betas-are-variances", RefusesAll(), Linear()),
    Case("computed-in-float64", FromSingle(), Linear()),
    Case("signal-falls", DrownsEarly(), Linear()),
    Case("little-signal-is-left", EndsBright(), Linear()),
    Case("ends-in-noise-as-declared", EndsInNoiseUnsaid(), Linear()),
    Case("ends-in-noise-as-declared", SaysItEndsInNoise(), Linear()),
    Case("tables-agree-with-brute-force", SharesABuffer(), Linear()),
    Case("same-betas-every-time", DrawsBetas(), Linear()),
    Case("same-betas-every-time", KeepsTheFirst(), Linear()),
    Case("every-option-counts", ForgetsTheEnd(), Linear()),
]
