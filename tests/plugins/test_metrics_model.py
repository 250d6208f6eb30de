"""Likelihood and held-out loss against brute force on a tiny process, and a law whose entropy is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from noisette import Batch, DataError, Model, Objective, Process
from noisette.diffusion.bound import VariationalBound
from noisette.machine import Machine
from noisette_plugins.metrics import HeldOutLoss, Likelihood
from noisette_plugins.metrics.model_terms import iter_span_outputs, split_into_spans
from noisette_plugins.objectives import X0, Eps
from noisette_plugins.schedules import Constant, Linear

TINY = Constant(beta=0.2).process(6)


class Half(nn.Module):
    """Says half of what it is shown; with two outputs, a variance too."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        told = t.view(-1, 1, 1, 1) / 5 + torch.zeros_like(x)
        return x / 2 if self.outputs == 1 else torch.cat([x / 2, told], dim=1)


def model(network: nn.Module, objective: Objective, process: Process = TINY) -> Model:
    machine = Machine(torch.device("cpu"), autocast=None, channels_last=False)
    return Model(network, objective, process, (1, 2, 3), (), machine)


def batch(judged: Model, count: int = 6, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 1, 2, 3), generator=generator).to(torch.uint8)
    return Batch(images, model=judged, indices=torch.arange(count), seed=seed)


@pytest.mark.parametrize("bound", ["none", "hybrid"])
def test_all_terms_are_the_bound(bound: str) -> None:
    objective = X0.model_validate({"bound": bound})
    judged = batch(model(Half(objective.outputs), objective))
    parts = {name: value.value for name, value in Likelihood(terms=None).compute(judged_by(judged), {}, {}).items()}
    bits, x0 = [], judged.images.float() / 127.5 - 1
    for view in iter_span_outputs(judged.model, judged, split_into_spans(0, 6, None)):
        step = int(view.t[0])
        variance_fraction = torch.full_like(x0, (step / 5 + 1) / 2) if bound == "hybrid" else None
        bits.append(
            float(VariationalBound(TINY).terms(x0, view.t, (view.x_t / 2).clamp(-1, 1), variance_fraction).mean())
        )
    assert parts["bits_per_dim_first"] == pytest.approx(bits[0], rel=1e-5)
    assert parts["bits_per_dim_steps"] == pytest.approx(sum(bits[1:]), rel=1e-5)
    assert parts["bits_per_dim_prior"] == pytest.approx(float(VariationalBound(TINY).prior(x0).mean()), rel=1e-5)
    assert parts["bits_per_dim"] == pytest.approx(parts["bits_per_dim_prior"] + sum(bits), rel=1e-5)


def judged_by(judged: Batch, terms: int | None = None) -> dict[str, Tensor]:
    return Likelihood(terms=terms).update({}, judged)


def test_few_terms_estimate_the_same_sum_with_an_honest_error() -> None:
    judged = model(Half(), Eps())
    exact = Likelihood(terms=None).compute(judged_by(batch(judged, 400)), {}, {})["bits_per_dim"].value
    pulls = []
    for seed in range(20):
        value, stderr = Likelihood().compute(judged_by(batch(judged, 400, seed), terms=3), {}, {})["bits_per_dim"]
        pulls.append((value - exact) / (stderr or 1.0))
    assert abs(sum(pulls)) / 20**0.5 < 3.5
    assert max(map(abs, pulls)) < 4
    assert sum(map(abs, pulls)) / 20 > 0.1  # control: the errors are no wild overestimate


def test_a_gaussian_model_comes_near_the_entropy() -> None:
    """Of images with values ~ N(0, s²), the exact denoiser's bound is the entropy but for the fixed variances."""
    s, process = 0.25, Linear().process(200)

    class Bayes(nn.Module):
        def forward(self, x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
            alpha, sigma = process.alpha_sigma(t, x)
            return s**2 * alpha / (alpha**2 * s**2 + sigma**2) * x

    normal = s * torch.randn(300, 1, 2, 3, generator=torch.Generator().manual_seed(0))
    images = ((normal + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    shown = Batch(images, model=model(Bayes(), X0(), process), indices=torch.arange(300))
    bits = Likelihood(terms=None, variance="fixed-large").compute(
        Likelihood(terms=None, variance="fixed-large").update({}, shown), {}, {}
    )["bits_per_dim"]
    entropy = math.log2(s * math.sqrt(2 * math.pi * math.e)) + math.log2(127.5)
    assert entropy - 3 * (bits.stderr or 0) < bits.value < entropy + 0.6


def test_the_loss_by_step_is_that_of_the_objective() -> None:
    judged = batch(model(Half(), Eps()), 50)
    state = HeldOutLoss(terms=None).update({}, judged)
    expected = [
        float((v.output - v.eps).square().mean())
        for v in iter_span_outputs(judged.model, judged, split_into_spans(0, 6, None))
    ]
    curve = HeldOutLoss().curves(state)["held_out_loss_by_step"]
    assert [x for x, _ in curve] == [0, 1, 2, 3, 4, 5]
    assert [y.value for _, y in curve] == pytest.approx(expected, rel=1e-5)
    loss = HeldOutLoss().compute(state, {}, {})["held_out_loss"]
    assert loss.value == pytest.approx(sum(expected) / 6, rel=1e-5)


def test_spans_cover_every_step_once() -> None:
    for first, timesteps, count in ((0, 1000, 50), (1, 1000, 49), (1, 7, 4), (0, 3, 10), (1, 2, None), (1, 1, 3)):
        cut = split_into_spans(first, timesteps, count)
        covered = [t for low, high in cut for t in range(low, high)]
        assert covered == list(range(first, timesteps))


def test_without_model_or_images_it_says_so() -> None:
    images = torch.zeros(2, 1, 2, 3, dtype=torch.uint8)
    with pytest.raises(DataError, match="the model that is judged"):
        HeldOutLoss().update({}, Batch(images))
    for metric in (HeldOutLoss(), Likelihood()):
        with pytest.raises(DataError, match="at least 2 held-out images; got 0"):
            metric.compute({}, {}, {})
