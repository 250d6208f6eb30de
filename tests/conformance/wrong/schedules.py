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
    """Scaled to too few steps: at T = 1000 a third of the image is left."""

    def betas(self, timesteps):
        return super().betas(timesteps) / 10


class EndsInNoiseUnsaid(Linear):
    def betas(self, timesteps):
        betas = super().betas(timesteps)
        betas[-1] = 1.0
        return betas


class SaysItEndsInNoise(Linear):
    @property
    def has_zero_terminal_snr(self):
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
    Case("snr-decreases", DrownsEarly(), Linear()),
    Case("final-signal-is-small", EndsBright(), Linear()),
    Case("terminal-snr-as-declared", EndsInNoiseUnsaid(), Linear()),
    Case("terminal-snr-as-declared", SaysItEndsInNoise(), Linear()),
    Case("process-matches-brute-force", SharesABuffer(), Linear()),
    Case("betas-are-deterministic", DrawsBetas(), Linear()),
    Case("betas-are-deterministic", KeepsTheFirst(), Linear()),
    Case("every-option-has-an-effect", ForgetsTheEnd(), Linear()),
]


class Backwards(Linear):
    """The last beta first."""

    def betas(self, timesteps):
        return super().betas(timesteps).flip(0)


class ShiftedByOne(Cosine):
    """Begins a step too early, where the signal is whole, and lifts the first beta a little."""

    def betas(self, timesteps):
        import torch

        betas = super().betas(timesteps)
        return torch.cat([betas.new_tensor([1e-9]), betas[:-1]])


class OddIsAnother(Linear):
    """Halves T, and forgets that it may be odd: the last beta is left as the first."""

    def betas(self, timesteps):
        betas = super().betas(timesteps)
        return betas if timesteps % 2 == 0 else betas * 1.2


class AlphasInSingle(Cosine):
    """Differences of alphas in float32."""

    def betas(self, timesteps):
        signal = (-super().betas(timesteps)).log1p().cumsum(dim=0).exp().float()
        before = signal.new_ones(timesteps)
        before[1:] = signal[:-1]
        return (1 - signal / before).double().clamp(1e-7, 0.999) * (1 + 1e-13)


CASES += [
    Case("betas-rise-from-small", Backwards(), Linear()),
    Case("betas-rise-from-small", ShiftedByOne(), Cosine()),
    Case("similar-lengths-agree", OddIsAnother(), Linear()),
    Case("betas-are-smooth", AlphasInSingle(), Cosine()),
]


class PowerOfTheEnds(Linear):
    """Takes the power of the ends too: at any but 1 hardly any noise is left."""

    power: float = Field(1.0, gt=0, le=4, description="1 is linear")

    def betas(self, timesteps):
        return super().betas(timesteps) ** self.power


CASES += [Case("options-keep-final-signal-small", PowerOfTheEnds(), Linear())]
