"""Objectives that clamp, overflow, or compute in another dtype or place."""

from __future__ import annotations

from conformance.case import Case

from noisette_plugins.objectives import X0, Eps, V


class ClampsLargeOutputs(V):
    def predict(self, output, x_t, alpha, sigma):
        return super().predict(output.clamp(-20, 20), x_t, alpha, sigma)


class DetachesThePrediction(V):
    """The value is right; the bound would learn nothing."""

    def predict(self, output, x_t, alpha, sigma):
        return super().predict(output.detach(), x_t, alpha, sigma)


class LeavesOutliersOut(Eps):
    """Losses above 10 are 10."""

    def losses(self, output, x0, eps, alpha, sigma):
        return super().losses(output, x0, eps, alpha, sigma).clamp(max=10)


class HuberOfAnotherWidth(Eps):
    """Goes over into l1 ten times too late."""

    def losses(self, output, x0, eps, alpha, sigma):
        if self.loss != "huber" or self.weight != "none":
            return super().losses(output, x0, eps, alpha, sigma)
        from torch.nn import functional as F

        return F.huber_loss(output, eps, delta=10.0, reduction="none").flatten(1).mean(dim=1)


class DividesByTheSignal(X0):
    def losses(self, output, x0, eps, alpha, sigma):
        return super().losses(output, x0, eps, alpha, sigma) * (alpha / alpha).flatten()


class FactorOnTheCpu(V):
    def target(self, x0, eps, alpha, sigma):
        import torch

        return super().target(x0, eps, alpha, sigma) * torch.ones(1)


class TargetInDouble(V):
    def target(self, x0, eps, alpha, sigma):
        return super().target(x0.double(), eps.double(), alpha.double(), sigma.double())


CASES = [
    Case("predictions-are-linear-in-the-output", ClampsLargeOutputs(), V()),
    Case("predictions-are-linear-in-the-output", DetachesThePrediction(), V()),
    Case("losses-grow-with-the-error", LeavesOutliersOut(), Eps()),
    Case("losses-grow-with-the-error", HuberOfAnotherWidth(), Eps()),
    Case("finite-at-both-ends", DividesByTheSignal(), X0()),
    Case("keeps-dtype-and-device", FactorOnTheCpu(), V()),
    Case("keeps-dtype-and-device", TargetInDouble(), V()),
]
