"""Objectives whose losses are weighted, bounded or averaged wrongly."""

from __future__ import annotations

from conformance.case import Case

from noisette_plugins.objectives import X0, Eps, V


class NotAPrediction(V):
    def predict(self, output, x_t, alpha, sigma):
        return alpha * x_t - sigma * output


class InDouble(V):
    def predict(self, output, x_t, alpha, sigma):
        return super().predict(output.double(), x_t.double(), alpha, sigma)


class CentresTheBatch(V):
    """Adds a little of the mean of the batch to each target."""

    def target(self, x0, eps, alpha, sigma):
        target = super().target(x0, eps, alpha, sigma)
        return target + 1e-3 * target.mean(dim=0, keepdim=True)


class WeightOfEps(V):
    """min(snr, gamma) / snr, which is eps's weight: the network predicts v."""

    def weights(self, alpha, sigma):
        snr = (alpha / sigma) ** 2
        if self.weight == "min-snr":
            return (snr.clamp(max=self.min_snr) / snr).flatten()
        return super().weights(alpha, sigma)


class SumsOverValues(Eps):
    def losses(self, output, x0, eps, alpha, sigma):
        return super().losses(output, x0, eps, alpha, sigma) * x0[0].numel()


class FirstChannelOnly(Eps):
    def losses(self, output, x0, eps, alpha, sigma):
        return super().losses(output[:, :1], x0[:, :1], eps[:, :1], alpha, sigma)


_SEEN = [1.0]


class RunningScale(Eps):
    """Divides by the running mean of its losses."""

    def losses(self, output, x0, eps, alpha, sigma):
        losses = super().losses(output, x0, eps, alpha, sigma)
        _SEEN[0] = 0.9 * _SEEN[0] + 0.1 * float(losses.detach().mean())
        return losses / _SEEN[0]


class DetachedAtHighNoise(Eps):
    """The losses of noisy images have no gradient: the values are right."""

    def losses(self, output, x0, eps, alpha, sigma):
        losses = super().losses(output, x0, eps, alpha, sigma)
        return losses.where((alpha > 0.3).flatten(), losses.detach())


class BoundOfTheWrongSign(V):
    def training_losses(self, output, x0, eps, t, process):
        both = super().training_losses(output, x0, eps, t, process)
        if self.bound != "hybrid":
            return both
        alpha, sigma = process.alpha_sigma(t, x0)
        plain = self.losses(output.chunk(2, dim=1)[0], x0, eps, alpha, sigma)
        return 2 * plain - both


class ChannelsTurned(V):
    """Takes the first channels for the variance."""

    def parse_output(self, output, x_t, t, process):
        if self.outputs == 2:
            output = output.roll(x_t.shape[1], dims=1)
        return super().parse_output(output, x_t, t, process)


CASES = [
    Case("predictions-are-whole", NotAPrediction(), V()),
    Case("predictions-are-whole", InDouble(), V()),
    Case("images-are-independent", CentresTheBatch(), V()),
    Case("weights-match-the-paper", WeightOfEps(), V()),
    Case("losses-average-over-values", SumsOverValues(), Eps()),
    Case("losses-average-over-values", FirstChannelOnly(), Eps()),
    Case("losses-are-stateless", RunningScale(), Eps()),
    Case("gradient-at-every-level", DetachedAtHighNoise(), X0()),
    Case("bound-matches-core", BoundOfTheWrongSign(), V()),
    Case("parse-output-splits-channels", ChannelsTurned(), V()),
]
