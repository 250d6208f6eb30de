"""Objectives with one mistake each."""

from __future__ import annotations

from typing import ClassVar, Literal

from conformance.case import Case
from pydantic import Field

from noisette_plugins.objectives import X0, Eps, V


class VSignTurned(V):
    """sigma x0 - alpha eps for a target, read as alpha eps - sigma x0."""

    def target(self, x0, eps, alpha, sigma):
        return sigma * x0 - alpha * eps


class VReadAsEps(V):
    def predict(self, output, x_t, alpha, sigma):
        return Eps().predict(output, x_t, alpha, sigma)


class EpsReadAsX0(Eps):
    def predict(self, output, x_t, alpha, sigma):
        return X0().predict(output, x_t, alpha, sigma)


class ClipsX0Only(Eps):
    """Clips the image, and leaves the noise as it was."""

    def predict(self, output, x_t, alpha, sigma):
        from noisette import Prediction

        x0 = ((x_t - sigma * output) / alpha).clamp(-1, 1)
        return Prediction(x_t, alpha, sigma, x0=x0, eps=output)


class Shrunk(X0):
    """Reads 99.9 % of what the network says."""

    def predict(self, output, x_t, alpha, sigma):
        return super().predict(0.999 * output, x_t, alpha, sigma)


class TargetX0OfV(V):
    """A target that mixes up alpha and sigma: consistent in nothing but its shape."""

    def target(self, x0, eps, alpha, sigma):
        return sigma * eps - alpha * x0


class LossOfAnotherTarget(V):
    """Trains on eps, and reads v."""

    def losses(self, output, x0, eps, alpha, sigma):
        return ((output - eps) ** 2).flatten(1).mean(dim=1)


class Pinball(Eps):
    """Punishes too much twice as hard as too little: the minimum is no mean."""

    def losses(self, output, x0, eps, alpha, sigma):
        away = output - eps
        return (away.clamp(min=0) * 2 + (-away).clamp(min=0)).flatten(1).mean(dim=1)


class OneLossForAll(Eps):
    def losses(self, output, x0, eps, alpha, sigma):
        return super().losses(output, x0, eps, alpha, sigma).mean(dim=0, keepdim=True)


class WeighsByTheBatch(Eps):
    def losses(self, output, x0, eps, alpha, sigma):
        losses = super().losses(output, x0, eps, alpha, sigma)
        return losses / losses.mean()


class OffsetLoss(Eps):
    def losses(self, output, x0, eps, alpha, sigma):
        return super().losses(output, x0, eps, alpha, sigma) - 1.0


class Detached(Eps):
    def losses(self, output, x0, eps, alpha, sigma):
        return super().losses(output.detach(), x0, eps, alpha, sigma)


class HalfDetached(Eps):
    """A self-normalised loss whose gradient forgets a part."""

    def losses(self, output, x0, eps, alpha, sigma):
        losses = super().losses(output, x0, eps, alpha, sigma)
        return losses * losses.detach()


class SaysItCan(Eps):
    needs_signal: ClassVar[bool] = False


class SaysItCannot(V):
    needs_signal: ClassVar[bool] = True


class ChangesTheOutput(Eps):
    def predict(self, output, x_t, alpha, sigma):
        return super().predict(output.clamp_(-1, 1), x_t, alpha, sigma)


class DropsAtRandom(Eps):
    def losses(self, output, x0, eps, alpha, sigma):
        import torch

        losses = super().losses(output, x0, eps, alpha, sigma)
        return losses * (torch.rand(len(losses)) >= 0)


class ForgetsTheLoss(Eps):
    loss: Literal["mse", "l1", "huber"] = Field("mse", description="distance")

    def losses(self, output, x0, eps, alpha, sigma):
        return Eps().losses(output, x0, eps, alpha, sigma)


CASES = [
    Case("target-inverts-to-x0", VSignTurned(), V()),
    Case("target-inverts-to-x0", VReadAsEps(), V()),
    Case("target-inverts-to-x0", EpsReadAsX0(), Eps()),
    Case("prediction-is-consistent", ClipsX0Only(), Eps()),
    Case("minimiser-is-the-exact-denoiser", VSignTurned(), V()),
    Case("minimiser-is-the-exact-denoiser", Shrunk(), X0()),
    Case("minimiser-is-the-exact-denoiser", TargetX0OfV(), V()),
    Case("loss-is-least-at-the-exact-denoiser", LossOfAnotherTarget(), V()),
    Case("loss-is-least-at-the-exact-denoiser", Pinball(), Eps()),
    Case("one-loss-per-image", OneLossForAll(), Eps()),
    Case("one-loss-per-image", WeighsByTheBatch(), Eps()),
    Case("one-loss-per-image", OffsetLoss(), Eps()),
    Case("one-loss-per-image", LossOfAnotherTarget(), V()),
    Case("gradient-matches-differences", Detached(), Eps()),
    Case("gradient-matches-differences", HalfDetached(), Eps()),
    Case("needs-signal-as-declared", SaysItCan(), Eps()),
    Case("needs-signal-as-declared", SaysItCannot(), V()),
    Case("leaves-its-inputs-alone", ChangesTheOutput(), Eps()),
    Case("leaves-its-inputs-alone", DropsAtRandom(), Eps()),
    Case("every-option-has-an-effect", ForgetsTheLoss(), Eps()),
]
