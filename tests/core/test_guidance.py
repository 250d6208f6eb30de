"""Guidance and bounds round denoisers whose laws are known."""

from __future__ import annotations

import pytest
import torch
from support.tiny import tiny, write_prepared
from torch import Tensor

from noisette import ConfigError, Denoiser, Model, PluginError, Prediction, sample, train
from noisette.diffusion.guidance import GradientGuided, Guided, Thresholded
from noisette.model.model import build_denoiser, count_network_calls, labels_for
from noisette_plugins.samplers import DDIM, Heun
from noisette_plugins.schedules import Cosine

PROCESS = Cosine().process(400)


class Gaussian(Denoiser):
    """The exact denoiser of N(mean, variance)."""

    def __init__(self, mean: float, variance: float) -> None:
        self.process, self.mean, self.variance, self.calls = PROCESS, mean, variance, 0

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        self.calls += 1
        alpha, sigma = PROCESS(t)
        gain = self.variance * alpha / (alpha**2 * self.variance + sigma**2)
        return Prediction(x_t, alpha, sigma, x0=self.mean + gain * (x_t - alpha * self.mean))

    def score(self, x_t: Tensor, t: int) -> Tensor:
        alpha, sigma = PROCESS(t)
        return -(x_t - alpha * self.mean) / (alpha**2 * self.variance + sigma**2)


X = torch.randn(64, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("t", [0, 17, 399])
def test_the_guided_score_is_the_papers(scale: float, t: int) -> None:
    # Ho & Salimans 2022, eq. 6: (1 + w) score(x | c) - w score(x), w = scale - 1; eps = -sigma score
    seen, blind = Gaussian(1.0, 0.2), Gaussian(0.0, 1.0)
    guided = Guided(seen, blind, scale)(X, t)
    score = scale * seen.score(X, t) - (scale - 1) * blind.score(X, t)
    assert torch.allclose(guided.eps, -PROCESS(t)[1] * score, atol=1e-9)
    assert torch.allclose(guided.alpha * guided.x0 + guided.sigma * guided.eps, X, atol=1e-9)


def test_guidance_of_equal_variances_moves_the_mean() -> None:
    # N(m, v) guided against N(0, v) with scale s is, at every t, N(s m, v).
    seen, blind = Gaussian(0.5, 0.3), Gaussian(0.0, 0.3)
    *_, drawn = DDIM(steps=400).trajectory(Guided(seen, blind, 3.0), X, lambda: X)
    *_, direct = DDIM(steps=400).trajectory(Gaussian(1.5, 0.3), X, lambda: X)
    assert torch.allclose(drawn, direct, atol=1e-9)


def test_outside_its_interval_the_unconditional_network_rests() -> None:
    seen, blind = Gaussian(1.0, 0.2), Gaussian(0.0, 1.0)
    guided = Guided(seen, blind, 3.0, interval=(300, 100))
    list(DDIM(steps=10).trajectory(guided, X, lambda: X))
    inside = sum(100 <= t <= 300 for t in PROCESS.timesteps(10))
    assert (seen.calls, blind.calls) == (10, inside)
    walker = DDIM(steps=10, guidance_scale=3.0, guidance_interval=(300, 100))
    assert count_network_calls(walker, PROCESS) == 10 + inside


def test_scale_one_costs_nothing() -> None:
    blind = Gaussian(0.0, 1.0)
    Guided(Gaussian(1.0, 0.2), blind, 1.0)(X, 5)
    assert blind.calls == 0
    assert count_network_calls(Heun(steps=10), PROCESS) == 19
    assert count_network_calls(Heun(steps=10, guidance_scale=2.0), PROCESS) == 38


def test_a_gradient_turns_the_prior_into_the_posterior() -> None:
    # N(0, 1) and the likelihood of y = x_0 + noise of variance r: a Gaussian again, whose denoiser is known.
    y, r = 2.0, 0.5
    posterior = Gaussian(y / (1 + r), r / (1 + r))
    prior = Gaussian(0.0, 1.0)

    def gradient(x_t: Tensor, t: int) -> Tensor:
        return posterior.score(x_t, t) - prior.score(x_t, t)

    guided = GradientGuided(prior, gradient)
    for t in (0, 100, 399):
        assert torch.allclose(guided(X, t).x0, posterior(X, t).x0, atol=1e-7)
    half = GradientGuided(prior, gradient, scale=0.5)
    assert not torch.allclose(half(X, 100).x0, posterior(X, 100).x0, atol=1e-2)


def test_thresholding_scales_what_leaves_the_unit_interval() -> None:
    class Wild(Denoiser):
        process = PROCESS

        def __call__(self, x_t: Tensor, t: int) -> Prediction:
            return Prediction(x_t, *PROCESS(t), x0=torch.linspace(-4, 4, 101).view(1, 1, 1, 101))

    seen = Thresholded(Wild(), 0.5)(torch.zeros(1, 1, 1, 101), 200)
    assert seen.x0.abs().max() == 1  # s is the median of |x0|, which is 2
    assert float(seen.x0[0, 0, 0, 60]) == pytest.approx(0.8 / 2)
    assert torch.allclose(seen.alpha * seen.x0 + seen.sigma * seen.eps, seen.x_t, atol=1e-6)
    tame = Thresholded(Gaussian(0.1, 0.01), 0.9)(torch.zeros(2, 1, 2, 2), 300)
    assert torch.allclose(tame.x0, Gaussian(0.1, 0.01)(torch.zeros(2, 1, 2, 2), 300).x0)


def test_a_network_with_labels_is_guided_by_config(tmp_path) -> None:
    options = ("training.class_conditional=true", "training.steps=60", "training.lr=5e-3", "sampling.num_images=16")
    walks = ("sampling.samplers=[{name: ddim, steps: 5, guidance_scale: 3}]",)
    experiment = tiny(*options, *walks)
    write_prepared(tmp_path, experiment)
    checkpoint = train(experiment, tmp_path)
    samples = sample(experiment, checkpoint, experiment.sampling.samplers[0], tmp_path)
    assert samples.label == "ddim-5-guidance_scale=3.0"
    assert samples.about["network_calls"] == 10
    assert samples.labels is not None
    assert samples.labels.tolist() == [*range(8), *range(8)]
    model = Model.load(checkpoint)
    assert labels_for(model, experiment.sampling, [7, 8, 9]).tolist() == [7, 0, 1]
    hidden = tiny(*options, "sampling.labels=none")
    assert labels_for(model, hidden.sampling, [7, 8, 9]) is None
    with pytest.raises(PluginError, match="guidance needs a network that was trained with labels"):
        build_denoiser(model, experiment.sampling.samplers[0], None)


def test_guidance_without_labels_is_refused_in_the_config() -> None:
    with pytest.raises(
        ConfigError, match=r"sampling\.samplers\.0\.guidance_scale: needs training\.class_conditional=true"
    ):
        tiny("sampling.samplers=[{name: ddim, steps: 5, guidance_scale: 2}]")
