"""Schedules that bear a known name and are another."""

from __future__ import annotations

from conformance.case import Case

from noisette_plugins.schedules import Cosine, Linear


class CosineNotSquared(Cosine):
    """Takes the root of the signal that it should take the square of."""

    def betas(self, timesteps):
        return 1 - (1 - super().betas(timesteps)).sqrt()


class EndsTooLate(Linear):
    def betas(self, timesteps):
        return 1.2 * super().betas(timesteps)


CASES = [
    Case("betas-match-the-paper", CosineNotSquared(), Cosine()),
    Case("betas-match-the-paper", EndsTooLate(), Linear()),
]
